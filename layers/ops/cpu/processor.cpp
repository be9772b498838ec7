#include "layers/ops/processor.h"

#include <fmt/format.h>
#include <oneapi/dnnl/dnnl.h>

namespace lockstep {

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

bool computes_in(Element element) {
  if (element == Element::f32) return true;
  const auto usable = static_cast<unsigned>(dnnl_get_effective_cpu_isa());
  constexpr auto wanted = static_cast<unsigned>(dnnl_cpu_isa_avx512_core);
  return (usable & wanted) == wanted;
}

}  // namespace lockstep
