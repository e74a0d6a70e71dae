module Ancient = Ancient
module Netsys_mem = Netsys_mem
module Rszshm = Rszshm
module SharedMem = SharedMem
