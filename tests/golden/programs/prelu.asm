.epimc 1
.tile 0
    pad table=8, rows=0:1, dst=0x0:1, src=[0x50:1]
    lookup table=9, rows=0:1, dst=0x50:1, src=[0x0:1]
    store dst=0xc0, src=0x50, bytes=77
    load dst=0x140, src=0x0, bytes=24
    load dst=0x158, src=0x18, bytes=24
    mvm table=0, rows=0:1, dst=0x0:1, src=[0x140:3]
    requantize table=1, rows=0:1, dst=0x188:1, src=[0x0:1]
    lookup table=2, rows=0:1, dst=0x1b0:3, src=[0x188:1]
    loop count=3
        load dst=0x170+48%0x140:72, src=0x30+48, bytes=24
        mvm table=0, rows=1:2+2, dst=0x0:1, src=[0x140:3]
        requantize table=1, rows=1:2+2, dst=0x188:1, src=[0x0:1]
        lookup table=2, rows=1:2+2, dst=0x1b0:3, src=[0x188:1]
        pool table=3, rows=0:1+1, dst=0x0:1, src=[0x1b0:3]
        pad table=4, rows=0:1+1, dst=0x228:1, src=[0x0:1]
        load dst=0x140+48%0x140:72, src=0x48+48, bytes=24
        mvm table=0, rows=2:3+2, dst=0x0:1, src=[0x140:3]
        requantize table=1, rows=2:3+2, dst=0x188:1, src=[0x0:1]
        lookup table=2, rows=2:3+2, dst=0x1b0:3, src=[0x188:1]
        mvm table=5, rows=0:1+1, dst=0x0:1, src=[0x1b0:3]
        requantize table=6, rows=0:1+1, dst=0x100:1, src=[0x0:1, 0x228:1]
        lookup table=7, rows=0:1+1, dst=0x50:1, src=[0x100:1]
        pad table=8, rows=1:2+1, dst=0x0:1, src=[0x50:1]
        lookup table=9, rows=1:2+1, dst=0x50:1, src=[0x0:1]
        store dst=0x110+80, src=0x50, bytes=77
    end
    mvm table=0, rows=7:8, dst=0x0:1, src=[0x140:3]
    requantize table=1, rows=7:8, dst=0x188:1, src=[0x0:1]
    lookup table=2, rows=7:8, dst=0x1b0:3, src=[0x188:1]
    pool table=3, rows=3:4, dst=0x0:1, src=[0x1b0:3]
    pad table=4, rows=3:4, dst=0x228:1, src=[0x0:1]
    mvm table=5, rows=3:4, dst=0x0:1, src=[0x1b0:3]
    requantize table=6, rows=3:4, dst=0x100:1, src=[0x0:1, 0x228:1]
    lookup table=7, rows=3:4, dst=0x50:1, src=[0x100:1]
    pad table=8, rows=4:5, dst=0x0:1, src=[0x50:1]
    lookup table=9, rows=4:5, dst=0x50:1, src=[0x0:1]
    store dst=0x200, src=0x50, bytes=77
    halt
