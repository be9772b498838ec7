#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "comm/tree/shard_layout.h"
#include "layers/model/graph.h"

namespace lockstep {

// Where each parameter lies in the arena: in the order in which backward finishes them, so that buckets of
// gradients are views. Norm parameters whose gradients are final with their own exchange come last, outside
// every bucket.
class ParameterTable {
 public:
  // final_norms: the statistics span the whole batch.
  ParameterTable(const Graph& graph, bool final_norms);

  const std::vector<Parameter>& all() const { return parameters_; }
  // Indices of a layer's parameters, in the layer's order: [first, first + count).
  Range of(const Layer& layer) const { return ranges_.at(&layer); }
  std::size_t bucketed() const { return bucketed_; }  // parameters that lie in buckets: the first ones
  std::vector<Range> bucketed_tensors() const;        // their elements, padding included
  std::size_t floats() const { return floats_; }      // of the whole arena
  std::size_t bucketed_floats() const { return bucketed_floats_; }

 private:
  void append(const Layer& layer);

  std::vector<Parameter> parameters_;
  std::map<const Layer*, Range> ranges_;
  std::size_t bucketed_ = 0;
  std::size_t bucketed_floats_ = 0;
  std::size_t floats_ = 0;
};

}  // namespace lockstep
