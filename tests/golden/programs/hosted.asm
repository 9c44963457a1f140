.epimc 1
.tile 0
    load dst=0xa0, src=0x0, bytes=15
    loop count=5
        load dst=0xb0+16%0xa0:48, src=0x10+16, bytes=15
        mvm table=0, rows=0:1+1, dst=0x0:1, src=[0xa0:3]
        requantize table=1, rows=0:1+1, dst=0xd0:6, src=[0x0:1]
        mvm table=2, rows=0:1+1, dst=0x0:1, src=[0xd0:6]
        requantize table=3, rows=0:1+1, dst=0x160:1, src=[0x0:1]
        store dst=0xf0+24, src=0x160, bytes=20
    end
    mvm table=0, rows=5:6, dst=0x0:1, src=[0xa0:3]
    requantize table=1, rows=5:6, dst=0xd0:6, src=[0x0:1]
    mvm table=2, rows=5:6, dst=0x0:1, src=[0xd0:6]
    requantize table=3, rows=5:6, dst=0x160:1, src=[0x0:1]
    store dst=0x168, src=0x160, bytes=20
    host table=4
    enter table=5
    load dst=0x160, src=0x188, bytes=20
    loop count=5
        load dst=0x178+24%0x160:72, src=0x1a0+24, bytes=20
        mvm table=6, rows=0:1+1, dst=0x0:1, src=[0x160:3]
        requantize table=7, rows=0:1+1, dst=0xa0:1, src=[0x0:1, 0xd0:6]
        store dst=0x60+24, src=0xa0, bytes=20
    end
    mvm table=6, rows=5:6, dst=0x0:1, src=[0x160:3]
    requantize table=7, rows=5:6, dst=0xa0:1, src=[0x0:1, 0xd0:6]
    store dst=0xd8, src=0xa0, bytes=20
    halt
