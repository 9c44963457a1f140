"""The crossbar backend: from the quantized IR to programs for a chip of crossbars, and back.

    backend       what the driver sees of all this: the door
    dialect       the ops of the IR on crossbars; levels: `mapped` to `allocated`
    core/         a program as data: program (chip, maps, ports, streams), operands, rounds, limits,
                  counts, source_rows (who reads what); findings collects what is wrong with one
    kernels/      what arrays of cells compute: layer_part (how an epitome lies in arrays), sampling
                  (what rounds drive and write), cells (what is stored), converters (what is read
                  at once); bit_serial (as arrays are read) and fused (one product)
    instructions/ what each instruction is and does, a file a family
    isa/          instruction streams: assembly (text), binary, loops (the walk through a stream),
                  execution (the interleaving), listing, subjects, clocks, buffers (what lies in
                  them); docs/isa.md: page and table_page
    target/       chips: schema of their files, builtin/; page: docs/targets.md
    lower/        IR to program: the passes map, place, schedule, allocate; then emit, with lowering
                  (ops to tables), projection (rows to streams), semaphores; roll folds
                  the streams into loops; planning and counting count from shapes alone
    bundle/       the files in which a program is kept
    proof         what a program claims of the integer reference
    summary       what a program consists of
    costs         what a sample costs
    check/        what can be known of a program without running it
    compiled/     kernels as machine code, for the vector instructions of the processor: of fused
                  products, and of serial ones (serial, with lanes, counting, planes and slabs)
    sim/          the simulator, engine (what one is), byte_engine, ssa/ (maps at once), paths,
                  calibration and counters

What executes or checks a program imports nothing of what makes one from IR.
"""
