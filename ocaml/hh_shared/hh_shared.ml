module Rszshm = Rszshm
