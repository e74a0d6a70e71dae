let () =
  Test_support.run "netsys_mem"
    [
      Test_bytes.suites;
      Test_memory.suites;
      Test_blocks.suites;
      Test_copy.suites;
      Test_copy_kinds.suites;
      Test_processes.suites;
      Test_io.suites;
      Test_positions.suites;
      Test_addresses.suites;
      Test_released.suites;
      Test_eager.suites;
      Test_shared.suites;
      Test_pools.suites;
    ]
