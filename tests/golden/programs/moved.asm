.epimc 1
.tile 0
    pad table=16, rows=0:1, dst=0x0:1, src=[0x510:1]
    requantize table=17, rows=0:1, dst=0x30:22, src=[0x0:1]
    load dst=0x0, src=0x0, bytes=28
    select table=1, rows=0:1, dst=0x20:1, src=[0x0:1]
    select table=2, rows=0:1, dst=0x450:6, src=[0x20:1]
    select table=0, rows=0:1, dst=0x4e0:3, src=[0x0:1]
    load dst=0x0, src=0x20, bytes=28
    select table=0, rows=1:2, dst=0x4e0:3, src=[0x0:1]
    mvm table=3, rows=0:1, dst=0x510:1, src=[0x4e0:3]
    requantize table=4, rows=0:1, dst=0x0:1, src=[0x510:1, 0x450:6]
    requantize table=5, rows=0:1, dst=0x18:1, src=[0x450:6, 0x0:1]
    concat table=7, rows=0:1, dst=0x0:1, src=[0x18:1, 0x18:1, 0x450:6]
    constant table=8, rows=0:1, dst=0x18:1, src=[]
    requantize table=9, rows=0:1, dst=0x510:1, src=[0x0:1, 0x18:1]
    constant table=10, rows=0:1, dst=0x0:1, src=[]
    multiply table=11, rows=0:1, dst=0x528:1, src=[0x0:1, 0x510:1]
    requantize table=12, rows=0:1, dst=0x5d0:4, src=[0x528:1]
    load dst=0x0, src=0x20, bytes=28
    select table=1, rows=1:2, dst=0x20:1, src=[0x0:1]
    select table=2, rows=1:2, dst=0x450:6, src=[0x20:1]
    load dst=0x0, src=0x40, bytes=28
    select table=0, rows=2:3, dst=0x4e0:3, src=[0x0:1]
    mvm table=3, rows=1:2, dst=0x510:1, src=[0x4e0:3]
    requantize table=4, rows=1:2, dst=0x0:1, src=[0x510:1, 0x450:6]
    requantize table=5, rows=1:2, dst=0x18:1, src=[0x450:6, 0x0:1]
    concat table=7, rows=1:2, dst=0x0:1, src=[0x18:1, 0x18:1, 0x450:6]
    constant table=8, rows=1:2, dst=0x18:1, src=[]
    requantize table=9, rows=1:2, dst=0x510:1, src=[0x0:1, 0x18:1]
    constant table=10, rows=1:2, dst=0x0:1, src=[]
    multiply table=11, rows=1:2, dst=0x528:1, src=[0x0:1, 0x510:1]
    requantize table=12, rows=1:2, dst=0x5d0:4, src=[0x528:1]
    select table=13, rows=0:1, dst=0x630:3, src=[0x5d0:4]
    loop count=2
        select table=13, rows=1:2+1, dst=0x630:3, src=[0x5d0:4]
        mvm table=14, rows=0:1+1, dst=0x690:1, src=[0x630:3]
        requantize table=15, rows=0:1+1, dst=0x510:1, src=[0x690:1]
        pad table=16, rows=1:2+1, dst=0x0:1, src=[0x510:1]
        requantize table=17, rows=1:2+1, dst=0x30:22, src=[0x0:1]
    end
    loop count=3
        load dst=0x0, src=0x40+32, bytes=28
        select table=1, rows=2:3+1, dst=0x20:1, src=[0x0:1]
        select table=2, rows=2:3+1, dst=0x450:6, src=[0x20:1]
        load dst=0x0, src=0x60+32, bytes=28
        select table=0, rows=3:4+1, dst=0x4e0:3, src=[0x0:1]
        mvm table=3, rows=2:3+1, dst=0x510:1, src=[0x4e0:3]
        requantize table=4, rows=2:3+1, dst=0x0:1, src=[0x510:1, 0x450:6]
        requantize table=5, rows=2:3+1, dst=0x18:1, src=[0x450:6, 0x0:1]
        concat table=7, rows=2:3+1, dst=0x0:1, src=[0x18:1, 0x18:1, 0x450:6]
        constant table=8, rows=2:3+1, dst=0x18:1, src=[]
        requantize table=9, rows=2:3+1, dst=0x510:1, src=[0x0:1, 0x18:1]
        constant table=10, rows=2:3+1, dst=0x0:1, src=[]
        multiply table=11, rows=2:3+1, dst=0x528:1, src=[0x0:1, 0x510:1]
        requantize table=12, rows=2:3+1, dst=0x5d0:4, src=[0x528:1]
        select table=13, rows=3:4+1, dst=0x630:3, src=[0x5d0:4]
        mvm table=14, rows=2:3+1, dst=0x690:1, src=[0x630:3]
        requantize table=15, rows=2:3+1, dst=0x510:1, src=[0x690:1]
        pad table=16, rows=3:4+1, dst=0x0:1, src=[0x510:1]
        requantize table=17, rows=3:4+1, dst=0x30:22, src=[0x0:1]
        select table=18, rows=0:1+1, dst=0x0:1, src=[0x30:22]
        requantize table=19, rows=0:1+1, dst=0x18:1, src=[0x0:1]
        requantize table=20, rows=0:1+1, dst=0x510:1, src=[0x0:1]
        concat table=21, rows=0:1+1, dst=0x528:1, src=[0x510:1, 0x18:1]
        lookup table=24, rows=0:1+1, dst=0x0:1, src=[0x528:1]
        store dst=0xc0+40, src=0x0, bytes=40
    end
    load dst=0x0, src=0xa0, bytes=28
    select table=1, rows=5:6, dst=0x20:1, src=[0x0:1]
    select table=2, rows=5:6, dst=0x450:6, src=[0x20:1]
    mvm table=3, rows=5:6, dst=0x510:1, src=[0x4e0:3]
    requantize table=4, rows=5:6, dst=0x0:1, src=[0x510:1, 0x450:6]
    requantize table=5, rows=5:6, dst=0x18:1, src=[0x450:6, 0x0:1]
    loop count=2
        concat table=7, rows=5:6+1, dst=0x0:1, src=[0x18:1, 0x18:1, 0x450:6]
        constant table=8, rows=5:6+1, dst=0x18:1, src=[]
        requantize table=9, rows=5:6+1, dst=0x510:1, src=[0x0:1, 0x18:1]
        constant table=10, rows=5:6+1, dst=0x0:1, src=[]
        multiply table=11, rows=5:6+1, dst=0x528:1, src=[0x0:1, 0x510:1]
        requantize table=12, rows=5:6+1, dst=0x5d0:4, src=[0x528:1]
        select table=13, rows=6:7+1, dst=0x630:3, src=[0x5d0:4]
        mvm table=14, rows=5:6+1, dst=0x690:1, src=[0x630:3]
        requantize table=15, rows=5:6+1, dst=0x510:1, src=[0x690:1]
        pad table=16, rows=6:7+1, dst=0x0:1, src=[0x510:1]
        requantize table=17, rows=6:7+1, dst=0x30:22, src=[0x0:1]
        select table=18, rows=3:4+1, dst=0x0:1, src=[0x30:22]
        requantize table=19, rows=3:4+1, dst=0x18:1, src=[0x0:1]
        requantize table=20, rows=3:4+1, dst=0x510:1, src=[0x0:1]
        concat table=21, rows=3:4+1, dst=0x528:1, src=[0x510:1, 0x18:1]
        lookup table=24, rows=3:4+1, dst=0x0:1, src=[0x528:1]
        store dst=0x138+40, src=0x0, bytes=40
        constant table=6, rows=0:1+1, dst=0x18:1, src=[]
    end
    loop count=7
        concat table=7, rows=7:8+1, dst=0x0:1, src=[0x18:1, 0x18:1, 0x450:6]
        constant table=8, rows=7:8+1, dst=0x18:1, src=[]
        requantize table=9, rows=7:8+1, dst=0x510:1, src=[0x0:1, 0x18:1]
        constant table=10, rows=7:8+1, dst=0x0:1, src=[]
        multiply table=11, rows=7:8+1, dst=0x528:1, src=[0x0:1, 0x510:1]
        requantize table=12, rows=7:8+1, dst=0x5d0:4, src=[0x528:1]
        select table=13, rows=8:9+1, dst=0x630:3, src=[0x5d0:4]
        mvm table=14, rows=7:8+1, dst=0x690:1, src=[0x630:3]
        requantize table=15, rows=7:8+1, dst=0x510:1, src=[0x690:1]
        pad table=16, rows=8:9+1, dst=0x0:1, src=[0x510:1]
        requantize table=17, rows=8:9+1, dst=0x30:22, src=[0x0:1]
        select table=18, rows=5:6+1, dst=0x0:1, src=[0x30:22]
        requantize table=19, rows=5:6+1, dst=0x18:1, src=[0x0:1]
        requantize table=20, rows=5:6+1, dst=0x510:1, src=[0x0:1]
        concat table=21, rows=5:6+1, dst=0x528:1, src=[0x510:1, 0x18:1]
        lookup table=24, rows=5:6+1, dst=0x0:1, src=[0x528:1]
        store dst=0x188+40, src=0x0, bytes=40
    end
    loop count=3
        select table=13, rows=15:16+1, dst=0x630:3, src=[0x5d0:4]
        mvm table=14, rows=14:15+1, dst=0x690:1, src=[0x630:3]
        requantize table=15, rows=14:15+1, dst=0x510:1, src=[0x690:1]
        pad table=16, rows=15:16+1, dst=0x0:1, src=[0x510:1]
        requantize table=17, rows=15:16+1, dst=0x30:22, src=[0x0:1]
        select table=18, rows=12:13+1, dst=0x0:1, src=[0x30:22]
        requantize table=19, rows=12:13+1, dst=0x18:1, src=[0x0:1]
        requantize table=20, rows=12:13+1, dst=0x510:1, src=[0x0:1]
        concat table=21, rows=12:13+1, dst=0x528:1, src=[0x510:1, 0x18:1]
        lookup table=24, rows=12:13+1, dst=0x0:1, src=[0x528:1]
        store dst=0x2a0+40, src=0x0, bytes=40
    end
    mvm table=14, rows=17:18, dst=0x690:1, src=[0x630:3]
    requantize table=15, rows=17:18, dst=0x510:1, src=[0x690:1]
    loop count=4
        pad table=16, rows=18:19+1, dst=0x0:1, src=[0x510:1]
        requantize table=17, rows=18:19+1, dst=0x30:22, src=[0x0:1]
    end
    pool table=22, rows=0:1, dst=0x0:1, src=[0x30:22]
    select table=23, rows=0:1, dst=0x8:1, src=[0x0:1]
    store dst=0x318, src=0x8, bytes=12
    select table=23, rows=1:2, dst=0x8:1, src=[0x0:1]
    store dst=0x328, src=0x8, bytes=12
    halt
