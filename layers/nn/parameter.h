#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "comm/base/dtype.h"
#include "layers/tensor/shape.h"

namespace lockstep {

// A trained tensor. Layers declare it; the model gives it its place in the one parameter arena.
struct Parameter {
  enum class Role : std::uint8_t { weight, bias, norm_scale, norm_shift };

  std::string name;  // PyTorch's: "layer1.0.conv1.weight"
  Dims dims;         // PyTorch's order
  Role role = Role::weight;
  std::int64_t fan_in = 1;      // inputs that one output sums over
  double deviation = 0;         // of the normal distribution it starts from; 0: uniform in ±1/√fan_in
  std::optional<double> start;  // all of it starts as this instead
  std::size_t offset = 0;       // first element in the arena

  std::size_t count() const { return static_cast<std::size_t>(elements(dims)); }
  // Weight decay leaves biases and norm parameters alone unless asked.
  bool decays() const { return role == Role::weight; }
};

// A piece of a model's state by name, in the model's memory.
struct ModelTensor {
  std::string
      name;  // of a parameter, or of a buffer: "bn1.running_mean", "stats.cumulative.bn1.running_mean"
  DType dtype = DType::f32;
  Dims dims;
  std::span<std::byte> bytes;
  bool derived = false;  // made anew from the parameters when it is wanted; until then it is out of date
};

}  // namespace lockstep
