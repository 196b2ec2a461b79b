"""Where work runs besides this process: Ray, on this machine alone or on a cluster that is there."""
