#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "layers/ops/device.h"
#include "trainer/config/schema.h"

namespace lockstep {

// A contiguous piece of the parameter arena with one treatment.
struct ParameterRange {
  std::string name;        // what optimizer.rules go by
  std::size_t offset = 0;  // elements
  std::size_t count = 0;
  bool decays = true;  // weight decay applies; with `optimizer.decay_all` it applies to every range
};

// A named piece of state, as long as the parameter arena ("momentum", "exp_avg", …). For the host to read and
// to write, until the next update.
struct OptimizerState {
  std::string name;
  std::span<float> values;
};

// Elementwise, so neither the number of workers nor where an arena is cut can change a bit. Neither
// communicates nor reads files.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  // One update with learning rate `lr`; `step` counts from 0. Arenas are as long as at creation, and the
  // device's.
  virtual void update(std::span<float> parameters, std::span<const float> gradients, double lr,
                      std::int64_t step) = 0;
  virtual std::vector<OptimizerState> state() = 0;
  // The state that may overflow while the parameters stay finite, where it is computed with: in the device's
  // memory.
  virtual std::optional<OptimizerState> overflows_unseen() { return std::nullopt; }
};

// How many arenas of state an optimizer keeps.
std::size_t state_arenas(const OptimizerConfig& config);

// SGD as PyTorch defines it (buf ← m·buf + g; Nesterov: g + m·buf) and AdamW (Loshchilov and Hutter, 2019,
// decoupled decay). State is kept and updates are computed on the device, which outlives the optimizer.
// `arena` in elements; what lies between the ranges (padding) is not touched. Throws std::logic_error where
// ranges overlap or leave the arena.
std::unique_ptr<Optimizer> make_optimizer(const OptimizerConfig& config,
                                          const std::vector<ParameterRange>& ranges, std::size_t arena,
                                          const Device& device = host());

// For implementations: throws std::logic_error where the arenas are not as long as at creation.
void check_arenas(std::span<const float> parameters, std::span<const float> gradients, std::size_t arena);

}  // namespace lockstep
