#pragma once

#include <cstdint>
#include <string>

namespace lockstep {

// One way to keep the running statistics that inference uses.
struct RunningStatistics {
  enum class Kind : std::uint8_t { ema, cumulative, precise };
  std::string name = "ema";  // as written: "ema", "ema:0.01", "cumulative", "precise"
  Kind kind = Kind::ema;
  double momentum = 0.1;  // of ema: r ← (1 − momentum) · r + momentum · batch
};

}  // namespace lockstep
