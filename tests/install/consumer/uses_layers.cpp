// A network of lockstep's, used by itself: what it makes of one gray image.
#include <cstdio>
#include <vector>

#include "layers/model/model.h"
#include "layers/ops/threads.h"
#include "layers/tensor/buffer.h"

int main() {
  lockstep::prepare_compute_thread();
  lockstep::ModelOptions options;
  options.spec.name = "cnn";
  options.input = {.height = 28, .width = 28, .channels = 1};
  lockstep::Model model(options, 1, 0);
  model.initialize();

  lockstep::Buffer image(28 * 28 * sizeof(float));
  const std::vector<std::int32_t> labels{0};
  std::vector<float> logits(10);
  model.predict({.images = image.as<float>().data(), .labels = labels, .first_sample = 0, .samples = 1}, 0,
                logits);
  std::printf("%zu parameters\n", model.parameters().size());
  return logits[0] == logits[1] ? 1 : 0;
}
