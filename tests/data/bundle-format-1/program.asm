.epimc 1
.tile 0
    load dst=0x700, src=0x0, bytes=28
    load dst=0x720, src=0x20, bytes=28
    loop count=2
        loop count=2
            load dst=0x740+32+64%0x700:160, src=0x40+32+64, bytes=28
            mvm table=0, rows=0:1+1+2, dst=0x0:1, src=[0x700:5]
            requantize table=1, rows=0:1+1+2, dst=0x7a0:2, src=[0x0:1]
        end
        pool table=2, rows=0:1+1, dst=0x960:5, src=[0x7a0:2]
    end
    loop count=3
        loop count=3
            loop count=2
                load dst=0x720+32+64+32%0x700:160, src=0xc0+32+64+192, bytes=28
                mvm table=0, rows=4:5+1+2+6, dst=0x0:1, src=[0x700:5]
                requantize table=1, rows=4:5+1+2+6, dst=0x7a0:2, src=[0x0:1]
            end
            pool table=2, rows=2:3+1+3, dst=0x960:5, src=[0x7a0:2]
            mvm table=3, rows=0:1+1+3, dst=0x0:1, src=[0x960:5]
            requantize table=4, rows=0:1+1+3, dst=0xb90:3, src=[0x0:1]
        end
        pool table=5, rows=0:1+1, dst=0xe30:4, src=[0xb90:3]
    end
    loop count=2
        loop count=2
            load dst=0x780+32+64%0x700:160, src=0x300+32+64, bytes=28
            mvm table=0, rows=22:23+1+2, dst=0x0:1, src=[0x700:5]
            requantize table=1, rows=22:23+1+2, dst=0x7a0:2, src=[0x0:1]
        end
        pool table=2, rows=11:12+1, dst=0x960:5, src=[0x7a0:2]
        mvm table=3, rows=9:10+1, dst=0x0:1, src=[0x960:5]
        requantize table=4, rows=9:10+1, dst=0xb90:3, src=[0x0:1]
    end
    mvm table=0, rows=26:27, dst=0x0:1, src=[0x700:5]
    requantize table=1, rows=26:27, dst=0x7a0:2, src=[0x0:1]
    mvm table=0, rows=27:28, dst=0x0:1, src=[0x700:5]
    requantize table=1, rows=27:28, dst=0x7a0:2, src=[0x0:1]
    pool table=2, rows=13:14, dst=0x960:5, src=[0x7a0:2]
    mvm table=3, rows=11:12, dst=0x0:1, src=[0x960:5]
    requantize table=4, rows=11:12, dst=0xb90:3, src=[0x0:1]
    pool table=5, rows=3:4, dst=0xe30:4, src=[0xb90:3]
    rearrange table=6, rows=0:1, dst=0x0:1, src=[0xe30:4]
    mvm table=7, rows=0:1, dst=0x100:1, src=[0x0:1]
    requantize table=8, rows=0:1, dst=0x0:1, src=[0x100:1]
    store dst=0x380, src=0x0, bytes=10
    mvm table=3, rows=12:13, dst=0x0:1, src=[0x960:5]
    requantize table=4, rows=12:13, dst=0xb90:3, src=[0x0:1]
    mvm table=3, rows=13:14, dst=0x0:1, src=[0x960:5]
    requantize table=4, rows=13:14, dst=0xb90:3, src=[0x0:1]
    halt
