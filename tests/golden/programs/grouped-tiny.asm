.epimc 1
.tile 0
    load dst=0x300, src=0x0, bytes=24
    mvm table=0, rows=0:1, dst=0x0:1, src=[0x300:1]
    requantize table=1, rows=0:1, dst=0x318:3, src=[0x0:1]
    loop count=2
        loop count=2
            load dst=0x300, src=0x18+24+48, bytes=24
            mvm table=0, rows=1:2+1+2, dst=0x0:1, src=[0x300:1]
            requantize table=1, rows=1:2+1+2, dst=0x318:3, src=[0x0:1]
            mvm table=2, rows=0:1+1+2, dst=0x438:1, src=[0x318:3]
            requantize table=3, rows=0:1+1+2, dst=0x8b8:3, src=[0x438:1]
        end
        mvm table=4, rows=0:1+1, dst=0x438:1, src=[0x8b8:3]
        requantize table=5, rows=0:1+1, dst=0xa68:3, src=[0x438:1]
    end
    load dst=0x300, src=0x78, bytes=24
    mvm table=0, rows=5:6, dst=0x0:1, src=[0x300:1]
    requantize table=1, rows=5:6, dst=0x318:3, src=[0x0:1]
    mvm table=2, rows=4:5, dst=0x438:1, src=[0x318:3]
    requantize table=3, rows=4:5, dst=0x8b8:3, src=[0x438:1]
    mvm table=2, rows=5:6, dst=0x438:1, src=[0x318:3]
    requantize table=3, rows=5:6, dst=0x8b8:3, src=[0x438:1]
    mvm table=4, rows=2:3, dst=0x438:1, src=[0x8b8:3]
    requantize table=5, rows=2:3, dst=0xa68:3, src=[0x438:1]
    pool table=6, rows=0:1, dst=0x0:1, src=[0xa68:3]
    requantize table=7, rows=0:1, dst=0x180:1, src=[0x0:1]
    rearrange table=8, rows=0:1, dst=0x0:1, src=[0x180:1]
    store dst=0x90, src=0x0, bytes=48
    halt
