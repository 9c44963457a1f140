.epimc 1
.tile 0
    loop count=80
        direct table=0, rows=0:1+1, window=0x0, bytes=8
        load dst=0x500, src=0x7d00+240, bytes=240
        mvm table=1, rows=0:1+1, dst=0x0:1, src=[0x500:1]
        requantize table=2, rows=0:1+1, dst=0x500:1, src=[0x0:1]
        store dst=0x4b00+160, src=0x500, bytes=160
    end
    halt
