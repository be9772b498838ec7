#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "layers/model/model.h"
#include "layers/nn/layer.h"
#include "layers/ops/kernel.h"
#include "layers/tensor/buffer.h"

namespace lockstep {

// What a training step would be if it were its convolutions and linear layers alone, as bare primitives of
// the library: forward, backward to the weight and, but for what reads images, backward to the input. Same
// shard shapes, layouts and element type as training; nothing is normalized, pooled, reordered, exchanged or
// updated. All layers share one piece of memory, as large as the largest needs for all shards of this worker,
// so what a primitive reads is as near as a step could have it at best.
class BareStep {
 public:
  // Throws UsageError as Model's constructor does.
  BareStep(const ModelOptions& options, int workers, int rank, std::int64_t global);

  struct Entry {
    std::string layer;
    BarePrimitive::Pass pass = BarePrimitive::Pass::forward;
    std::set<std::string> implementations;  // one, or one a size of shard
  };
  const std::vector<Entry>& entries() const { return entries_; }
  // Runs one of them on all shards of this worker, one after another on the calling thread.
  void run(std::size_t entry) const;

 private:
  void add(const Layer& layer, bool wants_input_gradient, const std::vector<std::int64_t>& samples,
           Element element);

  // A primitive on a shard of so many samples.
  struct Piece {
    BarePrimitive primitive;
    std::size_t shard = 0;
  };
  struct Shard {
    Buffer input, gradient, result;
  };

  std::vector<std::unique_ptr<Kernel>> kernels_;
  std::vector<Buffer> prepared_;  // their weights
  std::vector<Entry> entries_;
  std::vector<std::vector<Piece>> pieces_;  // of an entry
  std::vector<Shard> shards_;
  Buffer scratch_;
};

}  // namespace lockstep
