.epimc 1
.tile 0
    load dst=0xe00, src=0x0, bytes=28
    load dst=0xe20, src=0x20, bytes=28
    mvm table=0, rows=0:1, dst=0x0:1, src=[0xe00:3]
    requantize table=1, rows=0:1, dst=0xe60:3, src=[0x0:1]
    send tile=1, src=0xe60, bytes=448
    loop count=26
        load dst=0xe40+32%0xe00:96, src=0x40+32, bytes=28
        mvm table=0, rows=1:2+1, dst=0x0:1, src=[0xe00:3]
        requantize table=1, rows=1:2+1, dst=0xe60:3, src=[0x0:1]
        send tile=1, src=0x1020+448%0xe60:1344, bytes=448
        mvm table=2, rows=0:1+1, dst=0x0:1, src=[0xe60:3]
        requantize table=3, rows=0:1+1, dst=0x13a0:1, src=[0x0:1]
        send tile=1, src=0x13a0, bytes=448
    end
    mvm table=0, rows=27:28, dst=0x0:1, src=[0xe00:3]
    requantize table=1, rows=27:28, dst=0xe60:3, src=[0x0:1]
    send tile=1, src=0xe60, bytes=448
    loop count=2
        mvm table=2, rows=26:27+1, dst=0x0:1, src=[0xe60:3]
        requantize table=3, rows=26:27+1, dst=0x13a0:1, src=[0x0:1]
        send tile=1, src=0x13a0, bytes=448
    end
    halt
.tile 1
    recv tile=0, dst=0x0, bytes=448
    recv tile=0, dst=0x1c0, bytes=448
    recv tile=0, dst=0x540, bytes=448
    loop count=13
        recv tile=0, dst=0x380+896%0x0:1344, bytes=448
        recv tile=0, dst=0x700+896%0x540:1344, bytes=448
        mvm table=4, rows=0:1+2, dst=0xa80:1, src=[0x540:3]
        requantize table=5, rows=0:1+2, dst=0x1880:1, src=[0xa80:1, 0x0:3]
        send tile=2, src=0x1880, bytes=448
        send tile=4, src=0x1880, bytes=448
        recv tile=0, dst=0x0+896%0x0:1344, bytes=448
        recv tile=0, dst=0x8c0+896%0x540:1344, bytes=448
        mvm table=4, rows=1:2+2, dst=0xa80:1, src=[0x540:3]
        requantize table=5, rows=1:2+2, dst=0x1880:1, src=[0xa80:1, 0x0:3]
        send tile=2, src=0x1880, bytes=448
    end
    recv tile=0, dst=0x540, bytes=448
    mvm table=4, rows=26:27, dst=0xa80:1, src=[0x540:3]
    requantize table=5, rows=26:27, dst=0x1880:1, src=[0xa80:1, 0x0:3]
    send tile=2, src=0x1880, bytes=448
    send tile=4, src=0x1880, bytes=448
    mvm table=4, rows=27:28, dst=0xa80:1, src=[0x540:3]
    requantize table=5, rows=27:28, dst=0x1880:1, src=[0xa80:1, 0x0:3]
    send tile=2, src=0x1880, bytes=448
    halt
.tile 2
    loop count=14
        recv tile=1, dst=0x0+896%0x0:1344, bytes=448
        recv tile=1, dst=0x1c0+896%0x0:1344, bytes=448
        mvm table=6, rows=0:1+1, dst=0x540:1, src=[0x0:3]
        requantize table=7, rows=0:1+1, dst=0x1340:1, src=[0x540:1]
        send tile=3, src=0x1340, bytes=448
        send tile=4, src=0x1340, bytes=448
    end
    halt
.tile 3
    recv tile=2, dst=0x0, bytes=448
    loop count=13
        recv tile=2, dst=0x1c0+448%0x0:1344, bytes=448
        mvm table=8, rows=0:1+1, dst=0x540:1, src=[0x0:3]
        send tile=4, src=0x540, bytes=3584
    end
    mvm table=8, rows=13:14, dst=0x540:1, src=[0x0:3]
    send tile=4, src=0x540, bytes=3584
    halt
.tile 4
    recv tile=1, dst=0x0, bytes=448
    recv tile=2, dst=0x540, bytes=448
    loop count=13
        recv tile=1, dst=0x380+896%0x0:1344, bytes=448
        recv tile=2, dst=0x700+448%0x540:1344, bytes=448
        mvm table=9, rows=0:1+1, dst=0xa80:1, src=[0x540:3]
        recv tile=3, dst=0x1880, bytes=3584
        add table=10, rows=0:1+1, dst=0x2680:1, src=[0x1880:1, 0xa80:1]
        mvm table=11, rows=0:1+1, dst=0xa80:1, src=[0x0:3]
        requantize table=12, rows=0:1+1, dst=0x1880:1, src=[0x2680:1, 0xa80:1]
        store dst=0x390+448, src=0x1880, bytes=448
        signal sem=0
    end
    mvm table=9, rows=13:14, dst=0xa80:1, src=[0x540:3]
    recv tile=3, dst=0x1880, bytes=3584
    add table=10, rows=13:14, dst=0x2680:1, src=[0x1880:1, 0xa80:1]
    mvm table=11, rows=13:14, dst=0xa80:1, src=[0x0:3]
    requantize table=12, rows=13:14, dst=0x1880:1, src=[0x2680:1, 0xa80:1]
    store dst=0x1a50, src=0x1880, bytes=448
    signal sem=0
    halt
.tile 5
    loop count=7
        wait sem=0, count=1+2
        load dst=0xe00+896%0xe00:1344, src=0x390+896, bytes=448
        wait sem=0, count=2+2
        load dst=0xfc0+896%0xe00:1344, src=0x550+896, bytes=448
        mvm table=13, rows=0:1+1, dst=0x0:1, src=[0xe00:3]
        send tile=8, src=0x0, bytes=3584
    end
    halt
.tile 6
    loop count=7
        wait sem=0, count=1+2
        load dst=0xe00+896%0xe00:1344, src=0x390+896, bytes=448
        wait sem=0, count=2+2
        load dst=0xfc0+896%0xe00:1344, src=0x550+896, bytes=448
        mvm table=14, rows=0:1+1, dst=0x0:1, src=[0xe00:3]
        send tile=8, src=0x0, bytes=3584
    end
    halt
.tile 7
    loop count=7
        wait sem=0, count=1+2
        load dst=0xe00+896%0xe00:1344, src=0x390+896, bytes=448
        wait sem=0, count=2+2
        load dst=0xfc0+896%0xe00:1344, src=0x550+896, bytes=448
        mvm table=16, rows=0:1+1, dst=0x0:1, src=[0xe00:3]
        send tile=8, src=0x0, bytes=3584
    end
    halt
.tile 8
    loop count=7
        recv tile=6, dst=0x0, bytes=3584
        recv tile=5, dst=0xe00, bytes=3584
        add table=15, rows=0:1+1, dst=0x1c00:1, src=[0xe00:1, 0x0:1]
        recv tile=7, dst=0x0, bytes=3584
        add table=17, rows=0:1+1, dst=0xe00:1, src=[0x1c00:1, 0x0:1]
        load dst=0x2a00+896%0x2a00:1344, src=0x390+896, bytes=448
        load dst=0x2bc0+896%0x2a00:1344, src=0x550+896, bytes=448
        mvm table=18, rows=0:1+1, dst=0x0:1, src=[0x2a00:3]
        add table=19, rows=0:1+1, dst=0x1c00:1, src=[0xe00:1, 0x0:1]
        requantize table=20, rows=0:1+1, dst=0x0:1, src=[0x1c00:1]
        send tile=9, src=0x0, bytes=448
        send tile=10, src=0x0, bytes=448
        send tile=11, src=0x0, bytes=448
        send tile=12, src=0x0, bytes=448
        send tile=13, src=0x0, bytes=448
        send tile=14, src=0x0, bytes=448
        send tile=15, src=0x0, bytes=448
    end
    halt
.tile 9
    recv tile=8, dst=0x0, bytes=448
    loop count=6
        recv tile=8, dst=0x1c0+448%0x0:1344, bytes=448
        mvm table=21, rows=0:1+1, dst=0x540:1, src=[0x0:3]
        send tile=15, src=0x540, bytes=3584
    end
    mvm table=21, rows=6:7, dst=0x540:1, src=[0x0:3]
    send tile=15, src=0x540, bytes=3584
    halt
.tile 10
    recv tile=8, dst=0x0, bytes=448
    loop count=6
        recv tile=8, dst=0x1c0+448%0x0:1344, bytes=448
        mvm table=22, rows=0:1+1, dst=0x540:1, src=[0x0:3]
        send tile=15, src=0x540, bytes=3584
    end
    mvm table=22, rows=6:7, dst=0x540:1, src=[0x0:3]
    send tile=15, src=0x540, bytes=3584
    halt
.tile 11
    recv tile=8, dst=0x0, bytes=448
    loop count=6
        recv tile=8, dst=0x1c0+448%0x0:1344, bytes=448
        mvm table=24, rows=0:1+1, dst=0x540:1, src=[0x0:3]
        send tile=15, src=0x540, bytes=3584
    end
    mvm table=24, rows=6:7, dst=0x540:1, src=[0x0:3]
    send tile=15, src=0x540, bytes=3584
    halt
.tile 12
    recv tile=8, dst=0x0, bytes=448
    loop count=6
        recv tile=8, dst=0x1c0+448%0x0:1344, bytes=448
        mvm table=26, rows=0:1+1, dst=0x540:1, src=[0x0:3]
        send tile=15, src=0x540, bytes=3584
    end
    mvm table=26, rows=6:7, dst=0x540:1, src=[0x0:3]
    send tile=15, src=0x540, bytes=3584
    halt
.tile 13
    recv tile=8, dst=0x0, bytes=448
    loop count=6
        recv tile=8, dst=0x1c0+448%0x0:1344, bytes=448
        mvm table=28, rows=0:1+1, dst=0x540:1, src=[0x0:3]
        send tile=15, src=0x540, bytes=3584
    end
    mvm table=28, rows=6:7, dst=0x540:1, src=[0x0:3]
    send tile=15, src=0x540, bytes=3584
    halt
.tile 14
    recv tile=8, dst=0x0, bytes=448
    loop count=6
        recv tile=8, dst=0x1c0+448%0x0:1344, bytes=448
        mvm table=30, rows=0:1+1, dst=0x540:1, src=[0x0:3]
        send tile=15, src=0x540, bytes=3584
    end
    mvm table=30, rows=6:7, dst=0x540:1, src=[0x0:3]
    send tile=15, src=0x540, bytes=3584
    halt
.tile 15
    recv tile=8, dst=0x0, bytes=448
    loop count=6
        recv tile=8, dst=0x1c0+448%0x0:1344, bytes=448
        recv tile=10, dst=0x540, bytes=3584
        recv tile=9, dst=0x1340, bytes=3584
        add table=23, rows=0:1+1, dst=0x2140:1, src=[0x1340:1, 0x540:1]
        recv tile=11, dst=0x540, bytes=3584
        add table=25, rows=0:1+1, dst=0x1340:1, src=[0x2140:1, 0x540:1]
        recv tile=12, dst=0x540, bytes=3584
        add table=27, rows=0:1+1, dst=0x2140:1, src=[0x1340:1, 0x540:1]
        recv tile=13, dst=0x540, bytes=3584
        add table=29, rows=0:1+1, dst=0x1340:1, src=[0x2140:1, 0x540:1]
        recv tile=14, dst=0x540, bytes=3584
        add table=31, rows=0:1+1, dst=0x2140:1, src=[0x1340:1, 0x540:1]
        mvm table=32, rows=0:1+1, dst=0x540:1, src=[0x0:3]
        add table=33, rows=0:1+1, dst=0x1340:1, src=[0x2140:1, 0x540:1]
        load dst=0x2140, src=0x390+896, bytes=448
        mvm table=34, rows=0:1+1, dst=0x540:1, src=[0x2140:1]
        requantize table=35, rows=0:1+1, dst=0x2f40:7, src=[0x1340:1, 0x540:1]
    end
    recv tile=10, dst=0x540, bytes=3584
    recv tile=9, dst=0x1340, bytes=3584
    add table=23, rows=6:7, dst=0x2140:1, src=[0x1340:1, 0x540:1]
    recv tile=11, dst=0x540, bytes=3584
    add table=25, rows=6:7, dst=0x1340:1, src=[0x2140:1, 0x540:1]
    recv tile=12, dst=0x540, bytes=3584
    add table=27, rows=6:7, dst=0x2140:1, src=[0x1340:1, 0x540:1]
    recv tile=13, dst=0x540, bytes=3584
    add table=29, rows=6:7, dst=0x1340:1, src=[0x2140:1, 0x540:1]
    recv tile=14, dst=0x540, bytes=3584
    add table=31, rows=6:7, dst=0x2140:1, src=[0x1340:1, 0x540:1]
    mvm table=32, rows=6:7, dst=0x540:1, src=[0x0:3]
    add table=33, rows=6:7, dst=0x1340:1, src=[0x2140:1, 0x540:1]
    load dst=0x2140, src=0x1890, bytes=448
    mvm table=34, rows=6:7, dst=0x540:1, src=[0x2140:1]
    requantize table=35, rows=6:7, dst=0x2f40:7, src=[0x1340:1, 0x540:1]
    pool table=36, rows=0:1, dst=0x0:1, src=[0x2f40:7]
    requantize table=37, rows=0:1, dst=0x200:1, src=[0x0:1]
    rearrange table=38, rows=0:1, dst=0x0:1, src=[0x200:1]
    mvm table=39, rows=0:1, dst=0x40:1, src=[0x0:1]
    requantize table=40, rows=0:1, dst=0x0:1, src=[0x40:1]
    store dst=0x380, src=0x0, bytes=10
    halt
