// prelu's gradients against central differences, for the loss Σ y · dy; and that it says which shape does not
// fit.
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "comm/base/error.h"
#include "layers/ops/threads.h"
#include "layers/tensor/random.h"
#include "prelu.h"

namespace {

using namespace lockstep;

constexpr std::int64_t samples = 3;
constexpr SampleShape shape{.height = 2, .width = 3, .channels = 6};
constexpr std::int64_t slopes = 2;  // of three channels each
const auto values = static_cast<std::size_t>(samples * shape.elements());

std::vector<float> random_values(std::size_t count, const char* name) {
  const Random random(1, "check", name);
  std::vector<float> result(count);
  for (std::size_t i = 0; i < count; ++i) result[i] = 2 * Random::uniform(random.bits(i)[0]) - 1;
  return result;
}

bool close(double numeric, float gradient) {
  return std::abs(numeric - static_cast<double>(gradient)) < 1e-3;
}

}  // namespace

int main() {
  prepare_compute_thread();
  const auto type = std::make_shared<const CustomLayer>(consumer::prelu());
  CustomSpec spec = default_spec(type);
  spec.attributes.values["slopes"] = slopes;
  const auto layer = make_layer(spec, {.name = "prelu1", .input = shape});
  const auto kernel = layer->make_kernel({.samples = samples});

  std::vector<float> x = random_values(values, "x");
  std::vector<float> slope = random_values(slopes, "slope");
  const std::vector<float> dy = random_values(values, "dy");
  std::vector<float> y(values);
  std::vector<float> dx(values);
  std::vector<float> dslope(slopes);
  std::vector<std::byte> scratch(kernel->scratch_bytes());

  const auto loss = [&] {
    ForwardArguments forward;
    forward.inputs[0] = x.data();
    forward.output = y.data();
    forward.parameters[0] = slope.data();
    forward.scratch = scratch.data();
    kernel->forward(forward);
    double sum = 0;
    for (std::size_t i = 0; i < values; ++i) sum += static_cast<double>(y[i]) * static_cast<double>(dy[i]);
    return sum;
  };
  loss();
  BackwardArguments backward;
  backward.inputs[0] = x.data();
  backward.output_gradient = dy.data();
  backward.input_gradients[0] = dx.data();
  backward.parameters[0] = slope.data();
  backward.parameter_gradients[0] = dslope.data();
  backward.scratch = scratch.data();
  kernel->backward(backward);

  const auto agrees = [&](std::vector<float>& moved, const std::vector<float>& gradient) {
    constexpr float h = 1.0F / 256;
    for (std::size_t i = 0; i < moved.size(); ++i) {
      const float at = moved[i];
      if (&moved == &x && std::abs(at) < h) continue;  // the kink
      moved[i] = at + h;
      const double above = loss();
      moved[i] = at - h;
      const double below = loss();
      moved[i] = at;
      if (!close((above - below) / (2.0 * static_cast<double>(h)), gradient[i])) return false;
    }
    return true;
  };
  if (!agrees(x, dx) || !agrees(slope, dslope)) return 1;

  try {
    spec.attributes.values["slopes"] = std::int64_t{4};
    make_layer(spec, {.name = "prelu1", .input = shape});
    return 1;
  } catch (const UsageError& error) {
    std::printf("%s\n", error.what());
  }
}
