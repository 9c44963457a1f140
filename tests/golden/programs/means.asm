.epimc 1
.tile 0
    load dst=0x180, src=0x0, bytes=32
    load dst=0x1a0, src=0x20, bytes=32
    mvm table=0, rows=0:1, dst=0x0:1, src=[0x180:3]
    requantize table=1, rows=0:1, dst=0x1e0:3, src=[0x0:1]
    loop count=3
        loop count=2
            load dst=0x1c0+32+64%0x180:96, src=0x40+32+64, bytes=32
            mvm table=0, rows=1:2+1+2, dst=0x0:1, src=[0x180:3]
            requantize table=1, rows=1:2+1+2, dst=0x1e0:3, src=[0x0:1]
            mvm table=3, rows=0:1+1+2, dst=0x0:1, src=[0x1e0:3]
            pool table=2, rows=0:1+1+2, dst=0x270:1, src=[0x1e0:3]
            requantize table=4, rows=0:1+1+2, dst=0x3f0:2, src=[0x270:1, 0x0:1]
        end
        pool table=5, rows=0:1+1, dst=0x0:1, src=[0x3f0:2]
        requantize table=6, rows=0:1+1, dst=0x450:5, src=[0x0:1]
    end
    load dst=0x1c0, src=0x100, bytes=32
    loop count=2
        mvm table=0, rows=7:8+1, dst=0x0:1, src=[0x180:3]
        requantize table=1, rows=7:8+1, dst=0x1e0:3, src=[0x0:1]
        mvm table=3, rows=6:7+1, dst=0x0:1, src=[0x1e0:3]
        pool table=2, rows=6:7+1, dst=0x270:1, src=[0x1e0:3]
        requantize table=4, rows=6:7+1, dst=0x3f0:2, src=[0x270:1, 0x0:1]
    end
    pool table=5, rows=3:4, dst=0x0:1, src=[0x3f0:2]
    requantize table=6, rows=3:4, dst=0x450:5, src=[0x0:1]
    mvm table=3, rows=8:9, dst=0x0:1, src=[0x1e0:3]
    pool table=2, rows=8:9, dst=0x270:1, src=[0x1e0:3]
    requantize table=4, rows=8:9, dst=0x3f0:2, src=[0x270:1, 0x0:1]
    pool table=5, rows=4:5, dst=0x0:1, src=[0x3f0:2]
    requantize table=6, rows=4:5, dst=0x450:5, src=[0x0:1]
    loop count=6
        rearrange table=7, rows=0:1+1, dst=0x0:6, src=[0x450:5]
    end
    pool table=8, rows=0:1, dst=0x60:1, src=[0x0:6]
    requantize table=9, rows=0:1, dst=0x0:1, src=[0x60:1]
    rearrange table=10, rows=0:1, dst=0x10:1, src=[0x0:1]
    loop count=6
        rearrange table=11, rows=0:1+1, dst=0x18:6, src=[0x450:5]
    end
    pool table=12, rows=0:1, dst=0x78:1, src=[0x18:6]
    rearrange table=13, rows=0:1, dst=0x18:1, src=[0x78:1]
    concat table=14, rows=0:1, dst=0x20:3, src=[0x10:1, 0x18:1]
    loop count=4
        rearrange table=10, rows=1:2+1, dst=0x10:1, src=[0x0:1]
        rearrange table=13, rows=1:2+1, dst=0x18:1, src=[0x78:1]
        concat table=14, rows=1:2+1, dst=0x20:3, src=[0x10:1, 0x18:1]
        mvm table=15, rows=0:1+1, dst=0x38:1, src=[0x20:3]
        requantize table=16, rows=0:1+1, dst=0x10:1, src=[0x38:1]
        lookup table=17, rows=0:1+1, dst=0x18:1, src=[0x10:1]
        select table=18, rows=0:1+1, dst=0x38:1, src=[0x18:1]
        multiply table=19, rows=0:1+1, dst=0x88:1, src=[0x450:5, 0x38:1]
        requantize table=20, rows=0:1+1, dst=0x118:5, src=[0x88:1]
        requantize table=27, rows=0:1+1, dst=0x190:5, src=[0x118:5]
    end
    mvm table=15, rows=4:5, dst=0x38:1, src=[0x20:3]
    requantize table=16, rows=4:5, dst=0x10:1, src=[0x38:1]
    lookup table=17, rows=4:5, dst=0x18:1, src=[0x10:1]
    select table=18, rows=4:5, dst=0x38:1, src=[0x18:1]
    multiply table=19, rows=4:5, dst=0x88:1, src=[0x450:5, 0x38:1]
    requantize table=20, rows=4:5, dst=0x118:5, src=[0x88:1]
    requantize table=27, rows=4:5, dst=0x190:5, src=[0x118:5]
    loop count=6
        rearrange table=28, rows=0:1+1, dst=0x0:6, src=[0x190:5]
    end
    pool table=29, rows=0:1, dst=0x60:1, src=[0x0:6]
    loop count=5
        rearrange table=30, rows=0:1+1, dst=0x0:1, src=[0x60:1]
        requantize table=31, rows=0:1+1, dst=0x8:1, src=[0x0:1]
        store dst=0x120+8, src=0x8, bytes=3
    end
    pool table=21, rows=0:1, dst=0x0:1, src=[0x118:5]
    loop count=5
        select table=22, rows=0:1+1, dst=0x8:1, src=[0x0:1]
        requantize table=23, rows=0:1+1, dst=0x20:5, src=[0x8:1, 0x118:5]
    end
    pool table=24, rows=0:1, dst=0x98:1, src=[0x20:5]
    requantize table=25, rows=0:1, dst=0x0:1, src=[0x98:1]
    rearrange table=26, rows=0:1, dst=0x18:1, src=[0x0:1]
    store dst=0x148, src=0x18, bytes=18
    halt
