#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "layers/tensor/buffer.h"
#include "layers/tensor/element.h"
#include "layers/tensor/random.h"

namespace lockstep::bench {

// So many numbers in [-1, 1), in memory that starts as a shard's tensors do. Arrays of one name are alike.
template <class E>
class Array {
 public:
  Array(std::int64_t count, std::string_view name) : memory_(static_cast<std::size_t>(count) * sizeof(E)) {
    const Random random(1, "bench", name);
    for (std::size_t i = 0; i < values().size(); ++i) {
      values()[i] = from_float<E>(2 * Random::uniform(random.bits(i)[0]) - 1);
    }
  }

  E* data() { return values().data(); }
  std::span<E> values() { return memory_.as<E>(); }
  std::int64_t bytes() const { return static_cast<std::int64_t>(memory_.size()); }

 private:
  Buffer memory_;
};

}  // namespace lockstep::bench
