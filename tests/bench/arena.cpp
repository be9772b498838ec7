// What is done to every parameter or gradient of a model, beside a plain copy of as many bytes.
#include <benchmark/benchmark.h>

#include <cstring>

#include "layers/ops/elementwise.h"
#include "tests/bench/arrays.h"
#include "trainer/optim/optimizer.h"

namespace lockstep::bench {
namespace {

void copy(benchmark::State& state) {
  const std::int64_t count = state.range(0);
  Array<float> from(count, "from");
  Array<float> to(count, "to");
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), static_cast<std::size_t>(from.bytes()));
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * 2 * from.bytes());
}

template <class E>
void add(benchmark::State& state) {
  Array<E> sum(state.range(0), "sum");
  Array<E> addend(state.range(0), "addend");
  for (auto _ : state) add_into(sum.values(), addend.values());
  state.SetBytesProcessed(state.iterations() * 3 * sum.bytes());
}

template <class From, class To>
void convert(benchmark::State& state) {
  Array<From> from(state.range(0), "from");
  Array<To> to(state.range(0), "to");
  for (auto _ : state) lockstep::convert(from.values(), to.values());
  state.SetBytesProcessed(state.iterations() * (from.bytes() + to.bytes()));
}

void squares(benchmark::State& state) {
  Array<float> values(state.range(0), "values");
  for (auto _ : state) benchmark::DoNotOptimize(sum_of_squares(values.values()));
  state.SetBytesProcessed(state.iterations() * values.bytes());
}

// Gradients of so many shards, along the fixed tree.
void fold(benchmark::State& state) {
  const std::int64_t count = state.range(0);
  const std::int64_t shards = state.range(1);
  Array<float> gradients(count * shards, "gradients");
  Array<float> sum(count, "sum");
  for (auto _ : state) host().fold_sums(gradients.data(), count, shards, count, sum.data());
  state.SetBytesProcessed(state.iterations() * (gradients.bytes() + sum.bytes()));
}

void update(benchmark::State& state, OptimizerConfig::Name name, int arrays_moved) {
  Array<float> parameters(state.range(0), "parameters");
  Array<float> gradients(state.range(0), "gradients");
  OptimizerConfig config;
  config.name = name;
  const auto optimizer =
      make_optimizer(config, {{"all", 0, parameters.values().size(), true}}, parameters.values().size());
  for (auto _ : state) optimizer->update(parameters.values(), gradients.values(), 1e-6, 0);
  state.SetBytesProcessed(state.iterations() * arrays_moved * parameters.bytes());
}
// Gradients are read; parameters, and momentum or two averages, are read and written.
void sgd(benchmark::State& state) {
  update(state, OptimizerConfig::Name::sgd, 5);
}
void adamw(benchmark::State& state) {
  update(state, OptimizerConfig::Name::adamw, 7);
}

constexpr std::int64_t of_resnet20 = 272'474;  // parameters
constexpr std::int64_t beyond_caches = 1 << 24;

void sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->Arg(of_resnet20)->Arg(beyond_caches)->Unit(benchmark::kMicrosecond);
}

BENCHMARK(copy)->Apply(sizes);
BENCHMARK(add<float>)->Apply(sizes);
BENCHMARK(add<Bf16>)->Apply(sizes);
BENCHMARK(convert<float, Bf16>)->Apply(sizes);
BENCHMARK(convert<Bf16, float>)->Apply(sizes);
BENCHMARK(squares)->Apply(sizes);
BENCHMARK(fold)->Args({of_resnet20, 4})->Args({of_resnet20, 8})->Unit(benchmark::kMicrosecond);
BENCHMARK(sgd)->Apply(sizes);
BENCHMARK(adamw)->Apply(sizes);

}  // namespace
}  // namespace lockstep::bench
