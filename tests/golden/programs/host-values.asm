.epimc 1
.tile 0
    loop count=6
        load dst=0xa0, src=0x0+16, bytes=15
        mvm table=0, rows=0:1+1, dst=0x0:1, src=[0xa0:1]
        requantize table=1, rows=0:1+1, dst=0xa0:1, src=[0x0:1]
        store dst=0xc8+24, src=0xa0, bytes=20
    end
    host table=2
    enter table=3
    loop count=6
        load dst=0xa0, src=0x160+24, bytes=20
        mvm table=4, rows=0:1+1, dst=0x0:1, src=[0xa0:1]
        requantize table=5, rows=0:1+1, dst=0xa0:1, src=[0x0:1]
        store dst=0x1f0+24, src=0xa0, bytes=20
    end
    host table=6
    enter table=7
    load dst=0x50, src=0x280, bytes=20
    loop count=5
        load dst=0x68+24%0x50:72, src=0x298+24, bytes=20
        mvm table=8, rows=0:1+1, dst=0x0:1, src=[0x50:3]
        requantize table=9, rows=0:1+1, dst=0x98:1, src=[0x0:1]
        store dst=0x68+16, src=0x98, bytes=10
    end
    mvm table=8, rows=5:6, dst=0x0:1, src=[0x50:3]
    requantize table=9, rows=5:6, dst=0x98:1, src=[0x0:1]
    store dst=0xb8, src=0x98, bytes=10
    halt
