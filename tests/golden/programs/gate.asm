.epimc 1
.tile 0
    load dst=0xf0, src=0x0, bytes=30
    loop count=5
        load dst=0x110+32%0xf0:96, src=0x20+32, bytes=30
        mvm table=0, rows=0:1+1, dst=0x0:1, src=[0xf0:3]
        requantize table=1, rows=0:1+1, dst=0x150:1, src=[0x0:1]
        lookup table=2, rows=0:1+1, dst=0x170:6, src=[0x150:1]
    end
    mvm table=0, rows=5:6, dst=0x0:1, src=[0xf0:3]
    requantize table=1, rows=5:6, dst=0x150:1, src=[0x0:1]
    lookup table=2, rows=5:6, dst=0x170:6, src=[0x150:1]
    pool table=3, rows=0:1, dst=0x0:1, src=[0x170:6]
    requantize table=4, rows=0:1, dst=0x30:1, src=[0x0:1]
    rearrange table=5, rows=0:1, dst=0x0:1, src=[0x30:1]
    mvm table=6, rows=0:1, dst=0x8:1, src=[0x0:1]
    requantize table=7, rows=0:1, dst=0x0:1, src=[0x8:1]
    lookup table=8, rows=0:1, dst=0x8:1, src=[0x0:1]
    rearrange table=9, rows=0:1, dst=0x0:1, src=[0x8:1]
    loop count=6
        multiply table=10, rows=0:1+1, dst=0x8:1, src=[0x170:6, 0x0:1]
        requantize table=11, rows=0:1+1, dst=0xf8:1, src=[0x8:1]
        store dst=0x180+32, src=0xf8, bytes=30
        mvm table=13, rows=0:1+1, dst=0x8:1, src=[0xf8:1]
        multiply table=12, rows=0:1+1, dst=0x230:1, src=[0xf8:1, 0xf8:1]
        requantize table=14, rows=0:1+1, dst=0xf8:1, src=[0x230:1, 0x8:1]
        lookup table=15, rows=0:1+1, dst=0x8:1, src=[0xf8:1]
        store dst=0xc0+32, src=0x8, bytes=30
    end
    halt
