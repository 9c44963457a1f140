.epimc 1
.tile 0
    load dst=0xe00, src=0x0, bytes=28
    loop count=2
        load dst=0xe20+32, src=0x20+32, bytes=28
        mvm table=0, rows=0:1+1, dst=0x0:1, src=[0xe00:3]
        requantize table=1, rows=0:1+1, dst=0xe60:3, src=[0x0:1]
    end
    mvm table=2, rows=0:1, dst=0x0:1, src=[0xe60:3]
    requantize table=3, rows=0:1, dst=0x13a0:3, src=[0x0:1]
    loop count=2
        load dst=0xe00+32, src=0x60+32, bytes=28
        mvm table=0, rows=2:3+1, dst=0x0:1, src=[0xe00:3]
        requantize table=1, rows=2:3+1, dst=0xe60:3, src=[0x0:1]
        mvm table=2, rows=1:2+1, dst=0x0:1, src=[0xe60:3]
        requantize table=3, rows=1:2+1, dst=0x13a0:3, src=[0x0:1]
        mvm table=4, rows=0:1+1, dst=0x0:1, src=[0x13a0:3]
        requantize table=5, rows=0:1+1, dst=0x18e0:4, src=[0x0:1, 0xe60:3]
    end
    mvm table=6, rows=0:1, dst=0x0:1, src=[0x18e0:4]
    requantize table=7, rows=0:1, dst=0x1fe0:3, src=[0x0:1]
    loop count=2
        loop count=2
            load dst=0xe40+32+64%0xe00:96, src=0xa0+32+64, bytes=28
            mvm table=0, rows=4:5+1+2, dst=0x0:1, src=[0xe00:3]
            requantize table=1, rows=4:5+1+2, dst=0xe60:3, src=[0x0:1]
            mvm table=2, rows=3:4+1+2, dst=0x0:1, src=[0xe60:3]
            requantize table=3, rows=3:4+1+2, dst=0x13a0:3, src=[0x0:1]
            mvm table=4, rows=2:3+1+2, dst=0x0:1, src=[0x13a0:3]
            requantize table=5, rows=2:3+1+2, dst=0x18e0:4, src=[0x0:1, 0xe60:3]
        end
        mvm table=6, rows=1:2+1, dst=0x0:1, src=[0x18e0:4]
        requantize table=7, rows=1:2+1, dst=0x1fe0:3, src=[0x0:1]
        mvm table=8, rows=0:1+1, dst=0x0:1, src=[0x1fe0:3]
        mvm table=9, rows=0:1+1, dst=0x2520:1, src=[0x18e0:4]
        requantize table=10, rows=0:1+1, dst=0x3320:4, src=[0x0:1, 0x2520:1]
    end
    mvm table=11, rows=0:1, dst=0x0:1, src=[0x3320:4]
    requantize table=12, rows=0:1, dst=0x3a20:3, src=[0x0:1]
    loop count=4
        loop count=2
            loop count=2
                load dst=0xe00+32+64+32%0xe00:96, src=0x120+32+64+128, bytes=28
                mvm table=0, rows=8:9+1+2+4, dst=0x0:1, src=[0xe00:3]
                requantize table=1, rows=8:9+1+2+4, dst=0xe60:3, src=[0x0:1]
                mvm table=2, rows=7:8+1+2+4, dst=0x0:1, src=[0xe60:3]
                requantize table=3, rows=7:8+1+2+4, dst=0x13a0:3, src=[0x0:1]
                mvm table=4, rows=6:7+1+2+4, dst=0x0:1, src=[0x13a0:3]
                requantize table=5, rows=6:7+1+2+4, dst=0x18e0:4, src=[0x0:1, 0xe60:3]
            end
            mvm table=6, rows=3:4+1+2, dst=0x0:1, src=[0x18e0:4]
            requantize table=7, rows=3:4+1+2, dst=0x1fe0:3, src=[0x0:1]
            mvm table=8, rows=2:3+1+2, dst=0x0:1, src=[0x1fe0:3]
            mvm table=9, rows=2:3+1+2, dst=0x2520:1, src=[0x18e0:4]
            requantize table=10, rows=2:3+1+2, dst=0x3320:4, src=[0x0:1, 0x2520:1]
        end
        mvm table=11, rows=1:2+1, dst=0x0:1, src=[0x3320:4]
        requantize table=12, rows=1:2+1, dst=0x3a20:3, src=[0x0:1]
        mvm table=13, rows=0:1+1, dst=0x0:1, src=[0x3a20:3]
        mvm table=14, rows=0:1+1, dst=0x2520:1, src=[0x3320:4]
        requantize table=15, rows=0:1+1, dst=0x3f60:7, src=[0x0:1, 0x2520:1]
    end
    loop count=2
        load dst=0xe20+32, src=0x320+32, bytes=28
        mvm table=0, rows=24:25+1, dst=0x0:1, src=[0xe00:3]
        requantize table=1, rows=24:25+1, dst=0xe60:3, src=[0x0:1]
        mvm table=2, rows=23:24+1, dst=0x0:1, src=[0xe60:3]
        requantize table=3, rows=23:24+1, dst=0x13a0:3, src=[0x0:1]
        mvm table=4, rows=22:23+1, dst=0x0:1, src=[0x13a0:3]
        requantize table=5, rows=22:23+1, dst=0x18e0:4, src=[0x0:1, 0xe60:3]
    end
    mvm table=6, rows=11:12, dst=0x0:1, src=[0x18e0:4]
    requantize table=7, rows=11:12, dst=0x1fe0:3, src=[0x0:1]
    mvm table=8, rows=10:11, dst=0x0:1, src=[0x1fe0:3]
    mvm table=9, rows=10:11, dst=0x2520:1, src=[0x18e0:4]
    requantize table=10, rows=10:11, dst=0x3320:4, src=[0x0:1, 0x2520:1]
    load dst=0xe00, src=0x360, bytes=28
    loop count=2
        mvm table=0, rows=26:27+1, dst=0x0:1, src=[0xe00:3]
        requantize table=1, rows=26:27+1, dst=0xe60:3, src=[0x0:1]
        mvm table=2, rows=25:26+1, dst=0x0:1, src=[0xe60:3]
        requantize table=3, rows=25:26+1, dst=0x13a0:3, src=[0x0:1]
        mvm table=4, rows=24:25+1, dst=0x0:1, src=[0x13a0:3]
        requantize table=5, rows=24:25+1, dst=0x18e0:4, src=[0x0:1, 0xe60:3]
    end
    mvm table=6, rows=12:13, dst=0x0:1, src=[0x18e0:4]
    requantize table=7, rows=12:13, dst=0x1fe0:3, src=[0x0:1]
    mvm table=8, rows=11:12, dst=0x0:1, src=[0x1fe0:3]
    mvm table=9, rows=11:12, dst=0x2520:1, src=[0x18e0:4]
    requantize table=10, rows=11:12, dst=0x3320:4, src=[0x0:1, 0x2520:1]
    mvm table=11, rows=5:6, dst=0x0:1, src=[0x3320:4]
    requantize table=12, rows=5:6, dst=0x3a20:3, src=[0x0:1]
    mvm table=13, rows=4:5, dst=0x0:1, src=[0x3a20:3]
    mvm table=14, rows=4:5, dst=0x2520:1, src=[0x3320:4]
    requantize table=15, rows=4:5, dst=0x3f60:7, src=[0x0:1, 0x2520:1]
    mvm table=2, rows=27:28, dst=0x0:1, src=[0xe60:3]
    requantize table=3, rows=27:28, dst=0x13a0:3, src=[0x0:1]
    mvm table=4, rows=26:27, dst=0x0:1, src=[0x13a0:3]
    requantize table=5, rows=26:27, dst=0x18e0:4, src=[0x0:1, 0xe60:3]
    mvm table=4, rows=27:28, dst=0x0:1, src=[0x13a0:3]
    requantize table=5, rows=27:28, dst=0x18e0:4, src=[0x0:1, 0xe60:3]
    mvm table=6, rows=13:14, dst=0x0:1, src=[0x18e0:4]
    requantize table=7, rows=13:14, dst=0x1fe0:3, src=[0x0:1]
    loop count=2
        mvm table=8, rows=12:13+1, dst=0x0:1, src=[0x1fe0:3]
        mvm table=9, rows=12:13+1, dst=0x2520:1, src=[0x18e0:4]
        requantize table=10, rows=12:13+1, dst=0x3320:4, src=[0x0:1, 0x2520:1]
    end
    mvm table=11, rows=6:7, dst=0x0:1, src=[0x3320:4]
    requantize table=12, rows=6:7, dst=0x3a20:3, src=[0x0:1]
    loop count=2
        mvm table=13, rows=5:6+1, dst=0x0:1, src=[0x3a20:3]
        mvm table=14, rows=5:6+1, dst=0x2520:1, src=[0x3320:4]
        requantize table=15, rows=5:6+1, dst=0x3f60:7, src=[0x0:1, 0x2520:1]
    end
    pool table=16, rows=0:1, dst=0x0:1, src=[0x3f60:7]
    requantize table=17, rows=0:1, dst=0x200:1, src=[0x0:1]
    rearrange table=18, rows=0:1, dst=0x0:1, src=[0x200:1]
    mvm table=19, rows=0:1, dst=0x40:1, src=[0x0:1]
    requantize table=20, rows=0:1, dst=0x0:1, src=[0x40:1]
    store dst=0x380, src=0x0, bytes=10
    halt
