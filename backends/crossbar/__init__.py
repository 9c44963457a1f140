"""The crossbar backend: targets, mapping passes, programs, bundles, checker and simulator.

    the chip          target, targets/; target_document writes docs/targets.md
    counting          counting: crossbars from shapes alone
    IR to program     passes/ in the order map, place, schedule, allocate; then emit, with
                      lowering (ops to tables), projection (rows to streams), residency,
                      semaphores and clocks; roll folds the streams into loops
    a program         program (maps, ports, streams), rounds and arrays (what an mvm drives),
                      instructions/ (what each is and does), limits (sizes that files may name)
    its streams       operands, assembler (text), encoding (binary), loops (the walk through a
                      stream), listing (text with comments); isa_document and table_document
                      write docs/isa.md
    its bundle        bundle, files, documents (JSON), tables
    its check         checker: check_maps, check_tables, check_layers, check_streams, then
                      abstract (execution with tags: tags, off_chip, order); report collects
    its execution     execution (the interleaving, observers), simulator with byte_engine;
                      paths, fused and arrays compute what crossbars do
    its observers     subjects (which map an instruction works for), counters, counts

What executes or checks a program imports nothing of what makes one from IR.
"""
