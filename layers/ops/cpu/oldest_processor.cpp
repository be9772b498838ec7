// Compiled for any x86-64 processor (layers/CMakeLists.txt), since it must run where nothing else of ours
// can. So it calls C functions alone: an inline function of the C++ library may be taken from a file compiled
// for more.
#include "layers/ops/cpu/oldest_processor.h"

#include <unistd.h>

#include <cstring>

namespace lockstep {
namespace {

constexpr int usage = 2;  // ExitCode::usage

void say(const char* text) {
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text, std::strlen(text));
}

// What x86-64-v3 adds that matters; every processor that has these has the rest of it.
// 101: before any constructor of ours, which may use what is lacking.
[[gnu::constructor(101)]] void check() {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") != 0;
  const bool fma = __builtin_cpu_supports("fma") != 0;
  const bool bmi = __builtin_cpu_supports("bmi") != 0 && __builtin_cpu_supports("bmi2") != 0;
  if (avx2 && fma && bmi) return;
  say("this processor cannot run lockstep, which needs x86-64-v3 (Intel from Haswell, AMD from Zen on); it "
      "lacks");
  if (!avx2) say(" AVX2");
  if (!fma) say(" FMA");
  if (!bmi) say(" BMI");
  say("\n");
  _exit(usage);
}

}  // namespace

void require_processor() {}

}  // namespace lockstep
