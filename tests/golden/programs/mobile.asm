.epimc 1
.tile 0
    load dst=0x140, src=0x0, bytes=30
    load dst=0x160, src=0x20, bytes=30
    mvm table=0, rows=0:1, dst=0x0:1, src=[0x140:3]
    requantize table=1, rows=0:1, dst=0x1a0:2, src=[0x0:1]
    mvm table=2, rows=0:1, dst=0x1f0:1, src=[0x1a0:2]
    requantize table=3, rows=0:1, dst=0x5b0:3, src=[0x1f0:1]
    loop count=2
        loop count=2
            load dst=0x180+64+32%0x140:96, src=0x40+64+128, bytes=30
            load dst=0x140+64+32%0x140:96, src=0x60+64+128, bytes=30
            mvm table=0, rows=1:2+1+2, dst=0x0:1, src=[0x140:3]
            requantize table=1, rows=1:2+1+2, dst=0x1a0:2, src=[0x0:1]
            mvm table=2, rows=1:2+1+2, dst=0x1f0:1, src=[0x1a0:2]
            requantize table=3, rows=1:2+1+2, dst=0x5b0:3, src=[0x1f0:1]
            mvm table=4, rows=0:1+1+2, dst=0x1f0:1, src=[0x5b0:3]
            requantize table=5, rows=0:1+1+2, dst=0x0:1, src=[0x1f0:1]
            mvm table=6, rows=0:1+1+2, dst=0x1f0:1, src=[0x0:1]
            requantize table=7, rows=0:1+1+2, dst=0x0:1, src=[0x1a0:2, 0x1f0:1]
            mvm table=8, rows=0:1+1+2, dst=0x718:1, src=[0x0:1]
            requantize table=9, rows=0:1+1+2, dst=0xd58:3, src=[0x718:1]
        end
        mvm table=10, rows=0:1+1, dst=0x1f0:1, src=[0xd58:3]
        requantize table=11, rows=0:1+1, dst=0x0:1, src=[0x1f0:1]
        mvm table=12, rows=0:1+1, dst=0x1f0:1, src=[0x0:1]
        requantize table=13, rows=0:1+1, dst=0xfb0:3, src=[0x1f0:1]
    end
    mvm table=4, rows=4:5, dst=0x1f0:1, src=[0x5b0:3]
    requantize table=5, rows=4:5, dst=0x0:1, src=[0x1f0:1]
    mvm table=6, rows=4:5, dst=0x1f0:1, src=[0x0:1]
    requantize table=7, rows=4:5, dst=0x0:1, src=[0x1a0:2, 0x1f0:1]
    mvm table=8, rows=4:5, dst=0x718:1, src=[0x0:1]
    requantize table=9, rows=4:5, dst=0xd58:3, src=[0x718:1]
    mvm table=10, rows=2:3, dst=0x1f0:1, src=[0xd58:3]
    requantize table=11, rows=2:3, dst=0x0:1, src=[0x1f0:1]
    mvm table=12, rows=2:3, dst=0x1f0:1, src=[0x0:1]
    requantize table=13, rows=2:3, dst=0xfb0:3, src=[0x1f0:1]
    pool table=14, rows=0:1, dst=0x0:1, src=[0xfb0:3]
    requantize table=15, rows=0:1, dst=0x60:1, src=[0x0:1]
    rearrange table=16, rows=0:1, dst=0x0:1, src=[0x60:1]
    store dst=0x140, src=0x0, bytes=12
    halt
