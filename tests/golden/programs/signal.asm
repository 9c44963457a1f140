.epimc 1
.tile 0
    load dst=0x0, src=0x0, bytes=72
    rearrange table=0, rows=0:1, dst=0x48:1, src=[0x0:1]
    mvm table=1, rows=0:1, dst=0x90:1, src=[0x48:1]
    requantize table=2, rows=0:1, dst=0x0:1, src=[0x90:1]
    pool table=3, rows=0:1, dst=0x60:1, src=[0x0:1]
    mvm table=4, rows=0:1, dst=0x90:1, src=[0x60:1]
    requantize table=5, rows=0:1, dst=0x0:1, src=[0x90:1]
    requantize table=6, rows=0:1, dst=0x30:1, src=[0x0:1, 0x60:1]
    pool table=7, rows=0:1, dst=0x60:1, src=[0x30:1]
    requantize table=8, rows=0:1, dst=0x0:1, src=[0x60:1]
    mvm table=9, rows=0:1, dst=0x18:1, src=[0x0:1]
    requantize table=10, rows=0:1, dst=0xa8:1, src=[0x18:1]
    concat table=17, rows=0:1, dst=0x18:1, src=[0xa8:1, 0x120:1, 0x120:1, 0x120:1]
    lookup table=18, rows=0:1, dst=0x30:4, src=[0x18:1]
    mvm table=11, rows=0:1, dst=0x90:1, src=[0x0:1]
    requantize table=12, rows=0:1, dst=0x120:1, src=[0x90:1]
    concat table=17, rows=1:2, dst=0x18:1, src=[0xa8:1, 0x120:1, 0x120:1, 0x120:1]
    lookup table=18, rows=1:2, dst=0x30:4, src=[0x18:1]
    mvm table=13, rows=0:1, dst=0x90:1, src=[0x0:1]
    requantize table=14, rows=0:1, dst=0x120:1, src=[0x90:1]
    concat table=17, rows=2:3, dst=0x18:1, src=[0xa8:1, 0x120:1, 0x120:1, 0x120:1]
    lookup table=18, rows=2:3, dst=0x30:4, src=[0x18:1]
    mvm table=15, rows=0:1, dst=0x90:1, src=[0x0:1]
    requantize table=16, rows=0:1, dst=0x120:1, src=[0x90:1]
    concat table=17, rows=3:4, dst=0x18:1, src=[0xa8:1, 0x120:1, 0x120:1, 0x120:1]
    lookup table=18, rows=3:4, dst=0x30:4, src=[0x18:1]
    rearrange table=19, rows=0:1, dst=0x90:1, src=[0x30:4]
    store dst=0x48, src=0x90, bytes=72
    pool table=20, rows=0:1, dst=0x18:1, src=[0x0:1]
    rearrange table=21, rows=0:1, dst=0x0:1, src=[0x18:1]
    store dst=0x90, src=0x0, bytes=4
    halt
