.epimc 1
.tile 0
    loop count=3
        load dst=0x100, src=0x0+48, bytes=24
        load dst=0x118, src=0x18+48, bytes=24
        mvm table=0, rows=0:1+1, dst=0x0:1, src=[0x100:2]
        requantize table=1, rows=0:1+1, dst=0x130:3, src=[0x0:1]
    end
    rearrange table=3, rows=0:1, dst=0x0:1, src=[0x130:3]
    mvm table=4, rows=0:1, dst=0x190:1, src=[0x0:1]
    requantize table=5, rows=0:1, dst=0x0:1, src=[0x190:1]
    rearrange table=6, rows=0:1, dst=0x60:1, src=[0x0:1]
    rearrange table=2, rows=0:1, dst=0x0:1, src=[0x130:3]
    requantize table=7, rows=0:1, dst=0xc0:1, src=[0x60:1, 0x0:1]
    rearrange table=8, rows=0:1, dst=0x0:1, src=[0xc0:1]
    mvm table=9, rows=0:1, dst=0x120:1, src=[0x0:1]
    requantize table=10, rows=0:1, dst=0x0:1, src=[0x120:1]
    mvm table=11, rows=0:1, dst=0x120:1, src=[0x0:1]
    requantize table=12, rows=0:1, dst=0x0:1, src=[0x120:1]
    requantize table=14, rows=0:1, dst=0x60:1, src=[0x0:1]
    rearrange table=15, rows=0:1, dst=0x120:1, src=[0x60:1]
    requantize table=16, rows=0:1, dst=0x60:1, src=[0x120:1, 0xc0:1]
    rearrange table=17, rows=0:1, dst=0xc0:1, src=[0x60:1]
    mvm table=18, rows=0:1, dst=0x120:1, src=[0xc0:1]
    requantize table=19, rows=0:1, dst=0x60:1, src=[0x120:1]
    rearrange table=20, rows=0:1, dst=0xa8:1, src=[0x60:1]
    mvm table=21, rows=0:1, dst=0x60:1, src=[0xa8:1]
    requantize table=22, rows=0:1, dst=0x88:1, src=[0x60:1]
    store dst=0x90, src=0x88, bytes=5
    rearrange table=13, rows=0:1, dst=0x60:1, src=[0x0:1]
    store dst=0x98, src=0x60, bytes=96
    halt
