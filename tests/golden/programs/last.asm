.epimc 1
.tile 0
    pad table=8, rows=0:1, dst=0x0:1, src=[0x80:1]
    select table=9, rows=0:1, dst=0x48:1, src=[0x0:1]
    mvm table=10, rows=0:1, dst=0x78:1, src=[0x48:1]
    requantize table=11, rows=0:1, dst=0x108:10, src=[0x78:1]
    loop count=7
        load dst=0x1f8+24, src=0x0+24, bytes=24
    end
    rearrange table=0, rows=0:1, dst=0x2a0:3, src=[0x1f8:7]
    rearrange table=0, rows=1:2, dst=0x2a0:3, src=[0x1f8:7]
    mvm table=1, rows=0:1, dst=0x0:1, src=[0x2a0:3]
    requantize table=2, rows=0:1, dst=0xe0:1, src=[0x0:1]
    lookup table=3, rows=0:1, dst=0x2e8:3, src=[0xe0:1]
    loop count=6
        rearrange table=0, rows=2:3+1, dst=0x2a0:3, src=[0x1f8:7]
        mvm table=1, rows=1:2+1, dst=0x0:1, src=[0x2a0:3]
        requantize table=2, rows=1:2+1, dst=0xe0:1, src=[0x0:1]
        lookup table=3, rows=1:2+1, dst=0x2e8:3, src=[0xe0:1]
        mvm table=4, rows=0:1+1, dst=0x0:1, src=[0x2e8:3]
        requantize table=5, rows=0:1+1, dst=0x70:1, src=[0x0:1]
        requantize table=6, rows=0:1+1, dst=0x0:1, src=[0x2e8:3]
        concat table=7, rows=0:1+1, dst=0x80:1, src=[0x0:1, 0x70:1]
        pad table=8, rows=1:2+1, dst=0x0:1, src=[0x80:1]
        select table=9, rows=1:2+1, dst=0x48:1, src=[0x0:1]
        mvm table=10, rows=1:2+1, dst=0x78:1, src=[0x48:1]
        requantize table=11, rows=1:2+1, dst=0x108:10, src=[0x78:1]
    end
    mvm table=1, rows=7:8, dst=0x0:1, src=[0x2a0:3]
    requantize table=2, rows=7:8, dst=0xe0:1, src=[0x0:1]
    lookup table=3, rows=7:8, dst=0x2e8:3, src=[0xe0:1]
    loop count=2
        mvm table=4, rows=6:7+1, dst=0x0:1, src=[0x2e8:3]
        requantize table=5, rows=6:7+1, dst=0x70:1, src=[0x0:1]
        requantize table=6, rows=6:7+1, dst=0x0:1, src=[0x2e8:3]
        concat table=7, rows=6:7+1, dst=0x80:1, src=[0x0:1, 0x70:1]
        pad table=8, rows=7:8+1, dst=0x0:1, src=[0x80:1]
        select table=9, rows=7:8+1, dst=0x48:1, src=[0x0:1]
        mvm table=10, rows=7:8+1, dst=0x78:1, src=[0x48:1]
        requantize table=11, rows=7:8+1, dst=0x108:10, src=[0x78:1]
    end
    pad table=8, rows=9:10, dst=0x0:1, src=[0x80:1]
    select table=9, rows=9:10, dst=0x48:1, src=[0x0:1]
    mvm table=10, rows=9:10, dst=0x78:1, src=[0x48:1]
    requantize table=11, rows=9:10, dst=0x108:10, src=[0x78:1]
    loop count=9
        rearrange table=12, rows=0:1+1, dst=0x0:1, src=[0x108:10]
        store dst=0xa8+24, src=0x0, bytes=20
    end
    halt
