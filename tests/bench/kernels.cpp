// Our own kernels of layers over one shard of eight images. What oneDNN computes is measured by
// `lockstep bench peak`. Bytes are what a pass must read and write of the shard.
#include "layers/ops/kernels.h"

#include <benchmark/benchmark.h>

#include <memory>
#include <utility>
#include <vector>

#include "layers/loss/softmax_cross_entropy.h"
#include "layers/ops/threads.h"
#include "tests/bench/arrays.h"

namespace lockstep::bench {
namespace {

constexpr std::int64_t images = 8;

template <class E>
constexpr Element element = Element::f32;
template <>
constexpr Element element<Bf16> = Element::bf16;

template <class E>
KernelShape shape() {
  prepare_compute_thread();
  return {.samples = images, .element = element<E>};
}

// A kernel of one input with what it runs on.
template <class E>
struct Trial {
  Trial(std::unique_ptr<Kernel> made, const SampleShape& in, const SampleShape& out)
      : kernel(std::move(made)),
        input(images * in.elements(), "input"),
        output(images * out.elements(), "output"),
        saved(kernel->saved_bytes()),
        scratch(kernel->scratch_bytes()) {}

  void forward() {
    ForwardArguments arguments;
    arguments.inputs[0] = input.data();
    arguments.output = output.data();
    arguments.saved = saved.data();
    arguments.scratch = scratch.data();
    kernel->forward(arguments);
  }
  // The output stands for its gradient too, and the input's is written over the input.
  void backward() {
    BackwardArguments arguments;
    arguments.output = output.data();
    arguments.output_gradient = output.data();
    arguments.input_gradients[0] = input.data();
    arguments.saved = saved.data();
    arguments.scratch = scratch.data();
    kernel->backward(arguments);
  }

  std::unique_ptr<Kernel> kernel;
  Array<E> input, output;
  Buffer saved, scratch;
};

template <class E>
void run(benchmark::State& state, Trial<E> trial) {
  const bool backward = state.range(0) != 0;
  trial.forward();  // fills what backward reads
  for (auto _ : state) backward ? trial.backward() : trial.forward();
  state.SetBytesProcessed(state.iterations() * (trial.input.bytes() + trial.output.bytes()));
}

constexpr SampleShape image{32, 32, 64};
constexpr SampleShape half{16, 16, 64};

template <class E>
void max_pooling(benchmark::State& state) {
  const Pooling pooling{.kind = Pooling::Kind::max, .in = image, .out = half};
  run<E>(state, {make_pooling(pooling, shape<E>()), image, half});
}

template <class E>
void average_pooling(benchmark::State& state) {
  const Pooling pooling{.kind = Pooling::Kind::average, .in = image, .out = half};
  run<E>(state, {make_pooling(pooling, shape<E>()), image, half});
}

template <class E>
void global_average_pooling(benchmark::State& state) {
  run<E>(state, {make_global_average_pooling(image, shape<E>()), image, {1, 1, 64}});
}

template <class E>
void flatten(benchmark::State& state) {
  constexpr SampleShape last{7, 7, 32};  // of the model cnn
  run<E>(state, {make_flatten(last, shape<E>()), last, {1, 1, last.elements()}});
}

template <class E>
void dropout(benchmark::State& state) {
  run<E>(state, {make_dropout(image, 0.5F, Random(1, "bench", "dropout"), shape<E>()), image, image});
}

template <class E>
void relu(benchmark::State& state) {
  run<E>(state, {make_relu(image, shape<E>()), image, image});
}

void passes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("backward")->Arg(0)->Arg(1)->Unit(benchmark::kMicrosecond);
}

BENCHMARK(max_pooling<float>)->Apply(passes);
BENCHMARK(max_pooling<Bf16>)->Apply(passes);
BENCHMARK(average_pooling<float>)->Apply(passes);
BENCHMARK(average_pooling<Bf16>)->Apply(passes);
BENCHMARK(global_average_pooling<float>)->Apply(passes);
BENCHMARK(global_average_pooling<Bf16>)->Apply(passes);
BENCHMARK(flatten<float>)->Apply(passes);
BENCHMARK(flatten<Bf16>)->Apply(passes);
BENCHMARK(dropout<float>)->Apply(passes);
BENCHMARK(dropout<Bf16>)->Apply(passes);
BENCHMARK(relu<float>)->Apply(passes);
BENCHMARK(relu<Bf16>)->Apply(passes);

void loss(benchmark::State& state) {
  const std::int64_t classes = state.range(0);
  Array<float> logits(images * classes, "logits");
  Array<float> gradient(images * classes, "gradient");
  const std::vector<std::int32_t> labels(images, 3);
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        softmax_cross_entropy(logits.values(), labels, classes, 0.1, 8 * images, gradient.values()));
  }
  state.SetBytesProcessed(state.iterations() * 2 * logits.bytes());
}
BENCHMARK(loss)->ArgName("classes")->Arg(10)->Arg(1000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace lockstep::bench
