// The passes of batch_norm over one shard (layers/ops/norm.h). Bytes are what a pass must read and write.
#include "layers/ops/norm.h"

#include <benchmark/benchmark.h>

#include <span>
#include <vector>

#include "tests/bench/arrays.h"

namespace lockstep::bench {
namespace {

template <class E>
struct Shard {
  explicit Shard(const benchmark::State& state)
      : rows(state.range(0)),
        channels(state.range(1)),
        x(rows * channels, "x"),
        y(rows * channels, "y"),
        dy(rows * channels, "dy"),
        residual(rows * channels, "residual"),
        per_channel(channels, "per channel"),
        sums(static_cast<std::size_t>(2 * channels), 1.0) {}

  norm::Affine affine() {
    const auto values = per_channel.values();
    return {values, values, values, values};
  }

  std::int64_t rows, channels;
  Array<E> x, y, dy, residual;
  Array<float> per_channel;
  std::vector<double> sums;
};

// Counts what so many arrays of the shard's size hold.
template <class E>
void count_bytes(benchmark::State& state, const Shard<E>& shard, int arrays) {
  state.SetBytesProcessed(state.iterations() * arrays * shard.x.bytes());
}

template <class E>
void moments(benchmark::State& state) {
  Shard<E> s(state);
  for (auto _ : state) norm::moments(s.x.data(), s.rows, s.channels, s.sums.data());
  count_bytes(state, s, 1);
}

template <class E>
void normalize(benchmark::State& state) {
  Shard<E> s(state);
  for (auto _ : state) {
    norm::normalize(s.x.data(), nullptr, false, s.affine(), s.rows, s.channels, s.y.data());
  }
  count_bytes(state, s, 2);
}

template <class E>
void normalize_add_relu(benchmark::State& state) {
  Shard<E> s(state);
  for (auto _ : state) {
    norm::normalize(s.x.data(), s.residual.data(), true, s.affine(), s.rows, s.channels, s.y.data());
  }
  count_bytes(state, s, 3);
}

template <class E>
void backward_sums_relu(benchmark::State& state) {
  Shard<E> s(state);
  for (auto _ : state) {
    norm::backward_sums(s.x.data(), nullptr, s.dy.data(), true, false, s.affine(), s.rows, s.channels,
                        nullptr, false, s.sums.data());
  }
  count_bytes(state, s, 2);
}

template <class E>
void backward_sums_add_relu(benchmark::State& state) {
  Shard<E> s(state);
  for (auto _ : state) {
    norm::backward_sums(s.x.data(), s.y.data(), s.dy.data(), true, true, s.affine(), s.rows, s.channels,
                        s.residual.data(), false, s.sums.data());
  }
  count_bytes(state, s, 5);
}

template <class E>
void backward_apply(benchmark::State& state) {
  Shard<E> s(state);
  const auto sums = std::span<const double>(s.sums);
  const auto channels = static_cast<std::size_t>(s.channels);
  const norm::GroupSums group{sums.first(channels), sums.last(channels), 8 * s.rows};
  for (auto _ : state) {
    norm::backward_apply(s.x.data(), s.dy.data(), true, s.affine(), group, s.rows, s.channels, s.y.data());
  }
  count_bytes(state, s, 3);
}

// Eight images of resnet20's first and last blocks, and one of resnet50's first.
void shards(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"rows", "channels"})
      ->Args({8 * 32 * 32, 16})
      ->Args({8 * 8 * 8, 64})
      ->Args({56 * 56, 256})
      ->Unit(benchmark::kMicrosecond);
}

BENCHMARK(moments<float>)->Apply(shards);
BENCHMARK(moments<Bf16>)->Apply(shards);
BENCHMARK(normalize<float>)->Apply(shards);
BENCHMARK(normalize<Bf16>)->Apply(shards);
BENCHMARK(normalize_add_relu<float>)->Apply(shards);
BENCHMARK(normalize_add_relu<Bf16>)->Apply(shards);
BENCHMARK(backward_sums_relu<float>)->Apply(shards);
BENCHMARK(backward_sums_relu<Bf16>)->Apply(shards);
BENCHMARK(backward_sums_add_relu<float>)->Apply(shards);
BENCHMARK(backward_sums_add_relu<Bf16>)->Apply(shards);
BENCHMARK(backward_apply<float>)->Apply(shards);
BENCHMARK(backward_apply<Bf16>)->Apply(shards);

}  // namespace
}  // namespace lockstep::bench
