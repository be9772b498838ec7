#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "comm/tree/fixed_tree.h"

namespace lockstep {

// Where gradients lie, and what adds them up there: this process's memory and processor, unless a device
// brings its own. What is asked for is done when a call returns. Counts in floats.
class GradientMemory {
 public:
  GradientMemory() = default;
  GradientMemory(const GradientMemory&) = delete;
  GradientMemory& operator=(const GradientMemory&) = delete;
  virtual ~GradientMemory() = default;

  virtual std::shared_ptr<float> floats(std::size_t count) const;
  virtual void copy(const float* from, float* to, std::size_t count) const;
  // As `fold_sums` of known nodes (comm/tree). The parts' values may be lost.
  virtual void fold(Range node, std::span<const Part<float>> parts, float* out, std::size_t count) const;
};

}  // namespace lockstep
