.epimc 1
.tile 0
    load dst=0x180, src=0x0, bytes=18
    loop count=5
        load dst=0x198+24%0x180:72, src=0x18+24, bytes=18
        mvm table=0, rows=0:1+1, dst=0x0:1, src=[0x180:3]
        requantize table=1, rows=0:1+1, dst=0x1c8:1, src=[0x0:1]
        select table=2, rows=0:1+1, dst=0x0:1, src=[0x1c8:1]
        mvm table=4, rows=0:1+1, dst=0x18:1, src=[0x0:1]
        requantize table=5, rows=0:1+1, dst=0x0:1, src=[0x18:1]
        select table=3, rows=0:1+1, dst=0x18:1, src=[0x1c8:1]
        requantize table=6, rows=0:1+1, dst=0x30:1, src=[0x18:1]
        concat table=7, rows=0:1+1, dst=0x48:1, src=[0x0:1, 0x30:1]
        mvm table=8, rows=0:1+1, dst=0x78:1, src=[0x48:1]
        requantize table=9, rows=0:1+1, dst=0x0:1, src=[0x78:1]
        lookup table=10, rows=0:1+1, dst=0x1f8:6, src=[0x0:1]
    end
    mvm table=0, rows=5:6, dst=0x0:1, src=[0x180:3]
    requantize table=1, rows=5:6, dst=0x1c8:1, src=[0x0:1]
    select table=2, rows=5:6, dst=0x0:1, src=[0x1c8:1]
    mvm table=4, rows=5:6, dst=0x18:1, src=[0x0:1]
    requantize table=5, rows=5:6, dst=0x0:1, src=[0x18:1]
    select table=3, rows=5:6, dst=0x18:1, src=[0x1c8:1]
    requantize table=6, rows=5:6, dst=0x30:1, src=[0x18:1]
    concat table=7, rows=5:6, dst=0x48:1, src=[0x0:1, 0x30:1]
    mvm table=8, rows=5:6, dst=0x78:1, src=[0x48:1]
    requantize table=9, rows=5:6, dst=0x0:1, src=[0x78:1]
    lookup table=10, rows=5:6, dst=0x1f8:6, src=[0x0:1]
    rearrange table=11, rows=0:1, dst=0x0:1, src=[0x1f8:6]
    store dst=0x90, src=0x0, bytes=180
    halt
