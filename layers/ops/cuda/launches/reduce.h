#pragma once

#include <cstddef>

#include "layers/ops/cuda/arithmetic/fold.h"
#include "layers/ops/cuda/arithmetic/reduce.h"

namespace lockstep::cuda {

// Sums over rows: map's values of blocks of rows, then finish's of channels. `scratch` has room for
// WideRows::partials() values. Map has `rows`.
template <class Runner, class Map, class Finish>
void reduce_rows(const Runner& runner, const Map& map, const Finish& finish, std::byte* scratch) {
  auto* partials = reinterpret_cast<typename Map::Value*>(scratch);
  runner.in_blocks(ReduceRows<Map>{map, map.rows, partials});
  runner.in_blocks(FoldPartials<Finish>{finish, map.rows, map.rows.row_blocks(), partials});
}

// `count` values, at least one, along the fixed tree.
template <class Runner, class Value>
void fold_to_one(const Runner& runner, const Value* values, std::int64_t count, Value* out) {
  runner.in_blocks(FoldToOne<Value>{values, count, FoldToOne<Value>::subtree_for(count), out});
}

}  // namespace lockstep::cuda
