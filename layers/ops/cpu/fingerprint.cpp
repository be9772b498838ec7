#include "layers/ops/fingerprint.h"

#include <fmt/format.h>
#include <gnu/libc-version.h>
#include <oneapi/dnnl/dnnl.h>
#include <unistd.h>

namespace lockstep {
namespace {

std::string processor_features() {
  __builtin_cpu_init();
  std::string features;
  const auto add = [&](bool supported, const char* name) {
    if (supported) features += fmt::format("{}{}", features.empty() ? "" : " ", name);
  };
  add(__builtin_cpu_supports("avx2") != 0, "avx2");
  add(__builtin_cpu_supports("fma") != 0, "fma");
  add(__builtin_cpu_supports("avx512f") != 0, "avx512f");
  add(__builtin_cpu_supports("avx512bw") != 0, "avx512bw");
  add(__builtin_cpu_supports("avx512dq") != 0, "avx512dq");
  add(__builtin_cpu_supports("avx512vl") != 0, "avx512vl");
  add(__builtin_cpu_supports("avx512vnni") != 0, "avx512vnni");
  add(__builtin_cpu_supports("avx512bf16") != 0, "avx512bf16");
  return features;
}

}  // namespace

std::string compute_fingerprint() {
  const dnnl_version_t& library = *dnnl_version();
  return fmt::format("{}; caches {}/{}/{} KiB; C library {}; oneDNN {}.{}.{} ({}), instruction set {:#x}",
                     processor_features(), sysconf(_SC_LEVEL1_DCACHE_SIZE) / 1024,
                     sysconf(_SC_LEVEL2_CACHE_SIZE) / 1024, sysconf(_SC_LEVEL3_CACHE_SIZE) / 1024,
                     gnu_get_libc_version(), library.major, library.minor, library.patch, library.hash,
                     static_cast<unsigned>(dnnl_get_effective_cpu_isa()));
}

}  // namespace lockstep
