.epimc 1
.tile 0
    load dst=0xc0, src=0x0, bytes=16
    load dst=0xd0, src=0x10, bytes=16
    mvm table=6, rows=0:1, dst=0x0:1, src=[0xc0:2]
    requantize table=7, rows=0:1, dst=0xe0:1, src=[0x0:1]
    load dst=0xf8, src=0x0, bytes=16
    load dst=0x108, src=0x10, bytes=16
    mvm table=4, rows=0:1, dst=0x0:1, src=[0xf8:2]
    requantize table=5, rows=0:1, dst=0x118:1, src=[0x0:1]
    load dst=0x130, src=0x0, bytes=16
    mvm table=2, rows=0:1, dst=0x0:1, src=[0x130:2]
    requantize table=3, rows=0:1, dst=0x150:1, src=[0x0:1]
    load dst=0x168, src=0x0, bytes=16
    mvm table=0, rows=0:1, dst=0x0:1, src=[0x168:2]
    requantize table=1, rows=0:1, dst=0x188:1, src=[0x0:1]
    concat table=8, rows=0:1, dst=0x0:1, src=[0x188:1, 0x150:1, 0x118:1, 0xe0:1]
    rearrange table=9, rows=0:1, dst=0x60:1, src=[0x0:1]
    select table=10, rows=0:1, dst=0x90:1, src=[0x60:1]
    mvm table=17, rows=0:1, dst=0x188:1, src=[0x90:1]
    requantize table=18, rows=0:1, dst=0x60:1, src=[0x188:1]
    mvm table=15, rows=0:1, dst=0x188:1, src=[0x90:1]
    requantize table=16, rows=0:1, dst=0x308:1, src=[0x188:1]
    mvm table=13, rows=0:1, dst=0x188:1, src=[0x90:1]
    requantize table=14, rows=0:1, dst=0x338:1, src=[0x188:1]
    mvm table=11, rows=0:1, dst=0x188:1, src=[0x90:1]
    requantize table=12, rows=0:1, dst=0x90:1, src=[0x188:1]
    concat table=19, rows=0:1, dst=0x188:1, src=[0x90:1, 0x338:1, 0x308:1, 0x60:1]
    rearrange table=20, rows=0:1, dst=0x60:1, src=[0x188:1]
    select table=21, rows=0:1, dst=0x248:1, src=[0x60:1]
    store dst=0xa50, src=0x248, bytes=96
    requantize table=22, rows=0:1, dst=0x60:1, src=[0x248:1]
    concat table=23, rows=0:1, dst=0x368:2, src=[0x60:1, 0x248:1]
    loop count=3
        rearrange table=20, rows=1:2+4, dst=0x60:1, src=[0x188:1]
        select table=21, rows=1:2+4, dst=0x248:1, src=[0x60:1]
        store dst=0xab0+384, src=0x248, bytes=96
        requantize table=22, rows=1:2+4, dst=0x60:1, src=[0x248:1]
        concat table=23, rows=1:2+4, dst=0x368:2, src=[0x60:1, 0x248:1]
        mvm table=30, rows=0:1+4, dst=0x248:1, src=[0x368:2]
        requantize table=31, rows=0:1+4, dst=0x60:1, src=[0x248:1]
        mvm table=28, rows=0:1+4, dst=0x248:1, src=[0x368:2]
        requantize table=29, rows=0:1+4, dst=0x80:1, src=[0x248:1]
        mvm table=26, rows=0:1+4, dst=0x248:1, src=[0x368:2]
        requantize table=27, rows=0:1+4, dst=0xa0:1, src=[0x248:1]
        mvm table=24, rows=0:1+4, dst=0x248:1, src=[0x368:2]
        requantize table=25, rows=0:1+4, dst=0x348:1, src=[0x248:1]
        concat table=32, rows=0:1+4, dst=0x248:1, src=[0x348:1, 0xa0:1, 0x80:1, 0x60:1]
        loop count=2
            rearrange table=33, rows=0:1+1+8, dst=0x60:1, src=[0x248:1]
            select table=34, rows=0:1+1+8, dst=0x2c8:1, src=[0x60:1]
            lookup table=35, rows=0:1+1+8, dst=0x60:1, src=[0x2c8:1]
            store dst=0x50+64+512, src=0x60, bytes=62
        end
        rearrange table=9, rows=1:2+2, dst=0x60:1, src=[0x0:1]
        select table=10, rows=1:2+2, dst=0x90:1, src=[0x60:1]
        mvm table=17, rows=1:2+2, dst=0x188:1, src=[0x90:1]
        requantize table=18, rows=1:2+2, dst=0x60:1, src=[0x188:1]
        mvm table=15, rows=1:2+2, dst=0x188:1, src=[0x90:1]
        requantize table=16, rows=1:2+2, dst=0x308:1, src=[0x188:1]
        mvm table=13, rows=1:2+2, dst=0x188:1, src=[0x90:1]
        requantize table=14, rows=1:2+2, dst=0x338:1, src=[0x188:1]
        mvm table=11, rows=1:2+2, dst=0x188:1, src=[0x90:1]
        requantize table=12, rows=1:2+2, dst=0x90:1, src=[0x188:1]
        concat table=19, rows=1:2+2, dst=0x188:1, src=[0x90:1, 0x338:1, 0x308:1, 0x60:1]
        loop count=2
            rearrange table=20, rows=2:3+1+4, dst=0x60:1, src=[0x188:1]
            select table=21, rows=2:3+1+4, dst=0x248:1, src=[0x60:1]
            store dst=0xb10+96+384, src=0x248, bytes=96
            requantize table=22, rows=2:3+1+4, dst=0x60:1, src=[0x248:1]
            concat table=23, rows=2:3+1+4, dst=0x368:2, src=[0x60:1, 0x248:1]
            mvm table=30, rows=1:2+1+4, dst=0x248:1, src=[0x368:2]
            requantize table=31, rows=1:2+1+4, dst=0x60:1, src=[0x248:1]
            mvm table=28, rows=1:2+1+4, dst=0x248:1, src=[0x368:2]
            requantize table=29, rows=1:2+1+4, dst=0x80:1, src=[0x248:1]
            mvm table=26, rows=1:2+1+4, dst=0x248:1, src=[0x368:2]
            requantize table=27, rows=1:2+1+4, dst=0xa0:1, src=[0x248:1]
            mvm table=24, rows=1:2+1+4, dst=0x248:1, src=[0x368:2]
            requantize table=25, rows=1:2+1+4, dst=0x348:1, src=[0x248:1]
            concat table=32, rows=1:2+1+4, dst=0x248:1, src=[0x348:1, 0xa0:1, 0x80:1, 0x60:1]
            loop count=2
                rearrange table=33, rows=2:3+1+2+8, dst=0x60:1, src=[0x248:1]
                select table=34, rows=2:3+1+2+8, dst=0x2c8:1, src=[0x60:1]
                lookup table=35, rows=2:3+1+2+8, dst=0x60:1, src=[0x2c8:1]
                store dst=0xd0+64+128+512, src=0x60, bytes=62
            end
        end
        load dst=0xc0+16%0xc0:32, src=0x20+16, bytes=16
        mvm table=6, rows=1:2+1, dst=0x0:1, src=[0xc0:2]
        requantize table=7, rows=1:2+1, dst=0xe0:1, src=[0x0:1]
        load dst=0xf8+16%0xf8:32, src=0x20+16, bytes=16
        mvm table=4, rows=1:2+1, dst=0x0:1, src=[0xf8:2]
        requantize table=5, rows=1:2+1, dst=0x118:1, src=[0x0:1]
        load dst=0x140+16%0x130:32, src=0x10+16, bytes=16
        mvm table=2, rows=1:2+1, dst=0x0:1, src=[0x130:2]
        requantize table=3, rows=1:2+1, dst=0x150:1, src=[0x0:1]
        load dst=0x178+16%0x168:32, src=0x10+16, bytes=16
        mvm table=0, rows=1:2+1, dst=0x0:1, src=[0x168:2]
        requantize table=1, rows=1:2+1, dst=0x188:1, src=[0x0:1]
        concat table=8, rows=1:2+1, dst=0x0:1, src=[0x188:1, 0x150:1, 0x118:1, 0xe0:1]
        rearrange table=9, rows=2:3+2, dst=0x60:1, src=[0x0:1]
        select table=10, rows=2:3+2, dst=0x90:1, src=[0x60:1]
        mvm table=17, rows=2:3+2, dst=0x188:1, src=[0x90:1]
        requantize table=18, rows=2:3+2, dst=0x60:1, src=[0x188:1]
        mvm table=15, rows=2:3+2, dst=0x188:1, src=[0x90:1]
        requantize table=16, rows=2:3+2, dst=0x308:1, src=[0x188:1]
        mvm table=13, rows=2:3+2, dst=0x188:1, src=[0x90:1]
        requantize table=14, rows=2:3+2, dst=0x338:1, src=[0x188:1]
        mvm table=11, rows=2:3+2, dst=0x188:1, src=[0x90:1]
        requantize table=12, rows=2:3+2, dst=0x90:1, src=[0x188:1]
        concat table=19, rows=2:3+2, dst=0x188:1, src=[0x90:1, 0x338:1, 0x308:1, 0x60:1]
        rearrange table=20, rows=4:5+4, dst=0x60:1, src=[0x188:1]
        select table=21, rows=4:5+4, dst=0x248:1, src=[0x60:1]
        store dst=0xbd0+384, src=0x248, bytes=96
        requantize table=22, rows=4:5+4, dst=0x60:1, src=[0x248:1]
        concat table=23, rows=4:5+4, dst=0x368:2, src=[0x60:1, 0x248:1]
        mvm table=30, rows=3:4+4, dst=0x248:1, src=[0x368:2]
        requantize table=31, rows=3:4+4, dst=0x60:1, src=[0x248:1]
        mvm table=28, rows=3:4+4, dst=0x248:1, src=[0x368:2]
        requantize table=29, rows=3:4+4, dst=0x80:1, src=[0x248:1]
        mvm table=26, rows=3:4+4, dst=0x248:1, src=[0x368:2]
        requantize table=27, rows=3:4+4, dst=0xa0:1, src=[0x248:1]
        mvm table=24, rows=3:4+4, dst=0x248:1, src=[0x368:2]
        requantize table=25, rows=3:4+4, dst=0x348:1, src=[0x248:1]
        concat table=32, rows=3:4+4, dst=0x248:1, src=[0x348:1, 0xa0:1, 0x80:1, 0x60:1]
        loop count=2
            rearrange table=33, rows=6:7+1+8, dst=0x60:1, src=[0x248:1]
            select table=34, rows=6:7+1+8, dst=0x2c8:1, src=[0x60:1]
            lookup table=35, rows=6:7+1+8, dst=0x60:1, src=[0x2c8:1]
            store dst=0x1d0+64+512, src=0x60, bytes=62
        end
    end
    rearrange table=20, rows=13:14, dst=0x60:1, src=[0x188:1]
    select table=21, rows=13:14, dst=0x248:1, src=[0x60:1]
    store dst=0xf30, src=0x248, bytes=96
    requantize table=22, rows=13:14, dst=0x60:1, src=[0x248:1]
    concat table=23, rows=13:14, dst=0x368:2, src=[0x60:1, 0x248:1]
    mvm table=30, rows=12:13, dst=0x248:1, src=[0x368:2]
    requantize table=31, rows=12:13, dst=0x60:1, src=[0x248:1]
    mvm table=28, rows=12:13, dst=0x248:1, src=[0x368:2]
    requantize table=29, rows=12:13, dst=0x80:1, src=[0x248:1]
    mvm table=26, rows=12:13, dst=0x248:1, src=[0x368:2]
    requantize table=27, rows=12:13, dst=0xa0:1, src=[0x248:1]
    mvm table=24, rows=12:13, dst=0x248:1, src=[0x368:2]
    requantize table=25, rows=12:13, dst=0x348:1, src=[0x248:1]
    concat table=32, rows=12:13, dst=0x248:1, src=[0x348:1, 0xa0:1, 0x80:1, 0x60:1]
    loop count=2
        rearrange table=33, rows=24:25+1, dst=0x60:1, src=[0x248:1]
        select table=34, rows=24:25+1, dst=0x2c8:1, src=[0x60:1]
        lookup table=35, rows=24:25+1, dst=0x60:1, src=[0x2c8:1]
        store dst=0x650+64, src=0x60, bytes=62
    end
    rearrange table=9, rows=7:8, dst=0x60:1, src=[0x0:1]
    select table=10, rows=7:8, dst=0x90:1, src=[0x60:1]
    mvm table=17, rows=7:8, dst=0x188:1, src=[0x90:1]
    requantize table=18, rows=7:8, dst=0x60:1, src=[0x188:1]
    mvm table=15, rows=7:8, dst=0x188:1, src=[0x90:1]
    requantize table=16, rows=7:8, dst=0x308:1, src=[0x188:1]
    mvm table=13, rows=7:8, dst=0x188:1, src=[0x90:1]
    requantize table=14, rows=7:8, dst=0x338:1, src=[0x188:1]
    mvm table=11, rows=7:8, dst=0x188:1, src=[0x90:1]
    requantize table=12, rows=7:8, dst=0x90:1, src=[0x188:1]
    concat table=19, rows=7:8, dst=0x188:1, src=[0x90:1, 0x338:1, 0x308:1, 0x60:1]
    loop count=2
        rearrange table=20, rows=14:15+1, dst=0x60:1, src=[0x188:1]
        select table=21, rows=14:15+1, dst=0x248:1, src=[0x60:1]
        store dst=0xf90+96, src=0x248, bytes=96
        requantize table=22, rows=14:15+1, dst=0x60:1, src=[0x248:1]
        concat table=23, rows=14:15+1, dst=0x368:2, src=[0x60:1, 0x248:1]
        mvm table=30, rows=13:14+1, dst=0x248:1, src=[0x368:2]
        requantize table=31, rows=13:14+1, dst=0x60:1, src=[0x248:1]
        mvm table=28, rows=13:14+1, dst=0x248:1, src=[0x368:2]
        requantize table=29, rows=13:14+1, dst=0x80:1, src=[0x248:1]
        mvm table=26, rows=13:14+1, dst=0x248:1, src=[0x368:2]
        requantize table=27, rows=13:14+1, dst=0xa0:1, src=[0x248:1]
        mvm table=24, rows=13:14+1, dst=0x248:1, src=[0x368:2]
        requantize table=25, rows=13:14+1, dst=0x348:1, src=[0x248:1]
        concat table=32, rows=13:14+1, dst=0x248:1, src=[0x348:1, 0xa0:1, 0x80:1, 0x60:1]
        loop count=2
            rearrange table=33, rows=26:27+1+2, dst=0x60:1, src=[0x248:1]
            select table=34, rows=26:27+1+2, dst=0x2c8:1, src=[0x60:1]
            lookup table=35, rows=26:27+1+2, dst=0x60:1, src=[0x2c8:1]
            store dst=0x6d0+64+128, src=0x60, bytes=62
        end
    end
    mvm table=6, rows=4:5, dst=0x0:1, src=[0xc0:2]
    requantize table=7, rows=4:5, dst=0xe0:1, src=[0x0:1]
    mvm table=4, rows=4:5, dst=0x0:1, src=[0xf8:2]
    requantize table=5, rows=4:5, dst=0x118:1, src=[0x0:1]
    load dst=0x130, src=0x40, bytes=16
    mvm table=2, rows=4:5, dst=0x0:1, src=[0x130:2]
    requantize table=3, rows=4:5, dst=0x150:1, src=[0x0:1]
    load dst=0x168, src=0x40, bytes=16
    mvm table=0, rows=4:5, dst=0x0:1, src=[0x168:2]
    requantize table=1, rows=4:5, dst=0x188:1, src=[0x0:1]
    concat table=8, rows=4:5, dst=0x0:1, src=[0x188:1, 0x150:1, 0x118:1, 0xe0:1]
    loop count=2
        rearrange table=9, rows=8:9+1, dst=0x60:1, src=[0x0:1]
        select table=10, rows=8:9+1, dst=0x90:1, src=[0x60:1]
        mvm table=17, rows=8:9+1, dst=0x188:1, src=[0x90:1]
        requantize table=18, rows=8:9+1, dst=0x60:1, src=[0x188:1]
        mvm table=15, rows=8:9+1, dst=0x188:1, src=[0x90:1]
        requantize table=16, rows=8:9+1, dst=0x308:1, src=[0x188:1]
        mvm table=13, rows=8:9+1, dst=0x188:1, src=[0x90:1]
        requantize table=14, rows=8:9+1, dst=0x338:1, src=[0x188:1]
        mvm table=11, rows=8:9+1, dst=0x188:1, src=[0x90:1]
        requantize table=12, rows=8:9+1, dst=0x90:1, src=[0x188:1]
        concat table=19, rows=8:9+1, dst=0x188:1, src=[0x90:1, 0x338:1, 0x308:1, 0x60:1]
        loop count=2
            rearrange table=20, rows=16:17+1+2, dst=0x60:1, src=[0x188:1]
            select table=21, rows=16:17+1+2, dst=0x248:1, src=[0x60:1]
            store dst=0x1050+96+192, src=0x248, bytes=96
            requantize table=22, rows=16:17+1+2, dst=0x60:1, src=[0x248:1]
            concat table=23, rows=16:17+1+2, dst=0x368:2, src=[0x60:1, 0x248:1]
            mvm table=30, rows=15:16+1+2, dst=0x248:1, src=[0x368:2]
            requantize table=31, rows=15:16+1+2, dst=0x60:1, src=[0x248:1]
            mvm table=28, rows=15:16+1+2, dst=0x248:1, src=[0x368:2]
            requantize table=29, rows=15:16+1+2, dst=0x80:1, src=[0x248:1]
            mvm table=26, rows=15:16+1+2, dst=0x248:1, src=[0x368:2]
            requantize table=27, rows=15:16+1+2, dst=0xa0:1, src=[0x248:1]
            mvm table=24, rows=15:16+1+2, dst=0x248:1, src=[0x368:2]
            requantize table=25, rows=15:16+1+2, dst=0x348:1, src=[0x248:1]
            concat table=32, rows=15:16+1+2, dst=0x248:1, src=[0x348:1, 0xa0:1, 0x80:1, 0x60:1]
            loop count=2
                rearrange table=33, rows=30:31+1+2+4, dst=0x60:1, src=[0x248:1]
                select table=34, rows=30:31+1+2+4, dst=0x2c8:1, src=[0x60:1]
                lookup table=35, rows=30:31+1+2+4, dst=0x60:1, src=[0x2c8:1]
                store dst=0x7d0+64+128+256, src=0x60, bytes=62
            end
        end
    end
    mvm table=30, rows=19:20, dst=0x248:1, src=[0x368:2]
    requantize table=31, rows=19:20, dst=0x60:1, src=[0x248:1]
    mvm table=28, rows=19:20, dst=0x248:1, src=[0x368:2]
    requantize table=29, rows=19:20, dst=0x80:1, src=[0x248:1]
    mvm table=26, rows=19:20, dst=0x248:1, src=[0x368:2]
    requantize table=27, rows=19:20, dst=0xa0:1, src=[0x248:1]
    mvm table=24, rows=19:20, dst=0x248:1, src=[0x368:2]
    requantize table=25, rows=19:20, dst=0x348:1, src=[0x248:1]
    concat table=32, rows=19:20, dst=0x248:1, src=[0x348:1, 0xa0:1, 0x80:1, 0x60:1]
    loop count=2
        rearrange table=33, rows=38:39+1, dst=0x60:1, src=[0x248:1]
        select table=34, rows=38:39+1, dst=0x2c8:1, src=[0x60:1]
        lookup table=35, rows=38:39+1, dst=0x60:1, src=[0x2c8:1]
        store dst=0x9d0+64, src=0x60, bytes=62
    end
    halt
