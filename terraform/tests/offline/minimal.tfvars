binaries = {
  bucket         = "releases"
  manager_key    = "gridmill/job-manager"
  manager_sha256 = "0000000000000000000000000000000000000000000000000000000000000001"
  worker_key     = "gridmill/grid-worker"
  worker_sha256  = "0000000000000000000000000000000000000000000000000000000000000002"
}
