.epimc 1
.tile 0
    loop count=7
        load dst=0xe0, src=0x0+32, bytes=28
        requantize table=0, rows=0:1+1, dst=0x0:7, src=[0xe0:1]
        requantize table=6, rows=0:1+1, dst=0xe0:1, src=[0x0:7]
        store dst=0xe0+32, src=0xe0, bytes=28
    end
    mvm table=1, rows=0:1, dst=0xe0:1, src=[0x0:7]
    requantize table=2, rows=0:1, dst=0x1c0:3, src=[0xe0:1]
    loop count=6
        mvm table=1, rows=1:2+1, dst=0xe0:1, src=[0x0:7]
        requantize table=2, rows=1:2+1, dst=0x1c0:3, src=[0xe0:1]
        mvm table=3, rows=0:1+1, dst=0xe0:1, src=[0x1c0:3]
        requantize table=4, rows=0:1+1, dst=0x220:1, src=[0xe0:1, 0x1c0:3, 0x0:7]
        requantize table=5, rows=0:1+1, dst=0xe0:1, src=[0x220:1]
        store dst=0x1c0+32, src=0xe0, bytes=28
    end
    mvm table=3, rows=6:7, dst=0xe0:1, src=[0x1c0:3]
    requantize table=4, rows=6:7, dst=0x220:1, src=[0xe0:1, 0x1c0:3, 0x0:7]
    requantize table=5, rows=6:7, dst=0xe0:1, src=[0x220:1]
    store dst=0x280, src=0xe0, bytes=28
    halt
