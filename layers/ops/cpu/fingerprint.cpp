#include "layers/ops/fingerprint.h"

#include <fmt/format.h>
#include <gnu/libc-version.h>
#include <oneapi/dnnl/dnnl.h>
#include <unistd.h>

#include "layers/ops/processor.h"

namespace lockstep {

std::string compute_fingerprint() {
  const dnnl_version_t& library = *dnnl_version();
  return fmt::format("{}; caches {}/{}/{} KiB; C library {}; oneDNN {}.{}.{} ({}), instruction set {:#x}",
                     processor_features(), sysconf(_SC_LEVEL1_DCACHE_SIZE) / 1024,
                     sysconf(_SC_LEVEL2_CACHE_SIZE) / 1024, sysconf(_SC_LEVEL3_CACHE_SIZE) / 1024,
                     gnu_get_libc_version(), library.major, library.minor, library.patch, library.hash,
                     static_cast<unsigned>(dnnl_get_effective_cpu_isa()));
}

}  // namespace lockstep
