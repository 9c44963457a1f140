.epimc 1
.tile 0
    load dst=0x180, src=0x0, bytes=32
    load dst=0x1a0, src=0x20, bytes=32
    mvm table=0, rows=0:1, dst=0x0:1, src=[0x180:3]
    requantize table=1, rows=0:1, dst=0x1e0:1, src=[0x0:1]
    select table=2, rows=0:1, dst=0x210:5, src=[0x1e0:1]
    loop count=2
        loop count=2
            load dst=0x1c0+32+64%0x180:96, src=0x40+32+64, bytes=32
            mvm table=0, rows=1:2+1+2, dst=0x0:1, src=[0x180:3]
            requantize table=1, rows=1:2+1+2, dst=0x1e0:1, src=[0x0:1]
            select table=2, rows=1:2+1+2, dst=0x210:5, src=[0x1e0:1]
            mvm table=3, rows=0:1+1+2, dst=0x0:1, src=[0x210:5]
            requantize table=4, rows=0:1+1+2, dst=0x300:2, src=[0x0:1]
        end
        select table=8, rows=0:1+1, dst=0x0:1, src=[0x300:2]
        select table=7, rows=0:1+1, dst=0x8:1, src=[0x300:2]
        select table=6, rows=0:1+1, dst=0x10:1, src=[0x300:2]
        select table=5, rows=0:1+1, dst=0x18:1, src=[0x300:2]
        concat table=9, rows=0:1+1, dst=0x320:3, src=[0x18:1, 0x10:1, 0x8:1, 0x0:1]
    end
    mvm table=10, rows=0:1, dst=0x0:1, src=[0x320:3]
    requantize table=11, rows=0:1, dst=0x100:1, src=[0x0:1]
    lookup table=12, rows=0:1, dst=0x380:3, src=[0x100:1]
    select table=15, rows=0:1, dst=0x0:1, src=[0x380:3]
    requantize table=17, rows=0:1, dst=0x8:1, src=[0x0:1]
    select table=14, rows=0:1, dst=0x0:1, src=[0x380:3]
    requantize table=16, rows=0:1, dst=0x10:1, src=[0x0:1]
    concat table=18, rows=0:1, dst=0x18:1, src=[0x10:1, 0x8:1]
    concat table=24, rows=0:1, dst=0x120:3, src=[0x18:1, 0x18:1]
    select table=25, rows=0:1, dst=0x0:1, src=[0x120:3]
    select table=13, rows=0:1, dst=0x10:1, src=[0x380:3]
    requantize table=26, rows=0:1, dst=0x50:1, src=[0x10:1]
    requantize table=27, rows=0:1, dst=0x10:1, src=[0x210:5]
    concat table=28, rows=0:1, dst=0x90:1, src=[0x50:1, 0x0:1, 0x10:1]
    mvm table=29, rows=0:1, dst=0x3e0:1, src=[0x90:1]
    requantize table=30, rows=0:1, dst=0x0:1, src=[0x3e0:1]
    store dst=0xc0, src=0x0, bytes=24
    mvm table=0, rows=5:6, dst=0x0:1, src=[0x180:3]
    requantize table=1, rows=5:6, dst=0x1e0:1, src=[0x0:1]
    select table=2, rows=5:6, dst=0x210:5, src=[0x1e0:1]
    mvm table=3, rows=4:5, dst=0x0:1, src=[0x210:5]
    requantize table=4, rows=4:5, dst=0x300:2, src=[0x0:1]
    mvm table=3, rows=5:6, dst=0x0:1, src=[0x210:5]
    requantize table=4, rows=5:6, dst=0x300:2, src=[0x0:1]
    select table=8, rows=2:3, dst=0x0:1, src=[0x300:2]
    select table=7, rows=2:3, dst=0x8:1, src=[0x300:2]
    select table=6, rows=2:3, dst=0x10:1, src=[0x300:2]
    select table=5, rows=2:3, dst=0x18:1, src=[0x300:2]
    concat table=9, rows=2:3, dst=0x320:3, src=[0x18:1, 0x10:1, 0x8:1, 0x0:1]
    loop count=2
        mvm table=10, rows=1:2+1, dst=0x0:1, src=[0x320:3]
        requantize table=11, rows=1:2+1, dst=0x100:1, src=[0x0:1]
        lookup table=12, rows=1:2+1, dst=0x380:3, src=[0x100:1]
        select table=15, rows=1:2+1, dst=0x0:1, src=[0x380:3]
        requantize table=17, rows=1:2+1, dst=0x8:1, src=[0x0:1]
        select table=14, rows=1:2+1, dst=0x0:1, src=[0x380:3]
        requantize table=16, rows=1:2+1, dst=0x10:1, src=[0x0:1]
        concat table=18, rows=1:2+1, dst=0x18:1, src=[0x10:1, 0x8:1]
        concat table=24, rows=1:2+1, dst=0x120:3, src=[0x18:1, 0x18:1]
    end
    loop count=2
        select table=20, rows=0:1+1, dst=0x0:1, src=[0x380:3]
        requantize table=22, rows=0:1+1, dst=0x8:1, src=[0x0:1]
        select table=19, rows=0:1+1, dst=0x0:1, src=[0x380:3]
        requantize table=21, rows=0:1+1, dst=0x10:1, src=[0x0:1]
        concat table=23, rows=0:1+1, dst=0x18:1, src=[0x10:1, 0x8:1]
        concat table=24, rows=3:4+1, dst=0x120:3, src=[0x18:1, 0x18:1]
        loop count=2
            select table=25, rows=1:2+1+2, dst=0x0:1, src=[0x120:3]
            select table=13, rows=1:2+1+2, dst=0x10:1, src=[0x380:3]
            requantize table=26, rows=1:2+1+2, dst=0x50:1, src=[0x10:1]
            requantize table=27, rows=1:2+1+2, dst=0x10:1, src=[0x210:5]
            concat table=28, rows=1:2+1+2, dst=0x90:1, src=[0x50:1, 0x0:1, 0x10:1]
            mvm table=29, rows=1:2+1+2, dst=0x3e0:1, src=[0x90:1]
            requantize table=30, rows=1:2+1+2, dst=0x0:1, src=[0x3e0:1]
            store dst=0xd8+24+48, src=0x0, bytes=24
        end
    end
    select table=20, rows=2:3, dst=0x0:1, src=[0x380:3]
    requantize table=22, rows=2:3, dst=0x8:1, src=[0x0:1]
    select table=19, rows=2:3, dst=0x0:1, src=[0x380:3]
    requantize table=21, rows=2:3, dst=0x10:1, src=[0x0:1]
    concat table=23, rows=2:3, dst=0x18:1, src=[0x10:1, 0x8:1]
    concat table=24, rows=5:6, dst=0x120:3, src=[0x18:1, 0x18:1]
    select table=25, rows=5:6, dst=0x0:1, src=[0x120:3]
    select table=13, rows=5:6, dst=0x10:1, src=[0x380:3]
    requantize table=26, rows=5:6, dst=0x50:1, src=[0x10:1]
    requantize table=27, rows=5:6, dst=0x10:1, src=[0x210:5]
    concat table=28, rows=5:6, dst=0x90:1, src=[0x50:1, 0x0:1, 0x10:1]
    mvm table=29, rows=5:6, dst=0x3e0:1, src=[0x90:1]
    requantize table=30, rows=5:6, dst=0x0:1, src=[0x3e0:1]
    store dst=0x138, src=0x0, bytes=24
    halt
