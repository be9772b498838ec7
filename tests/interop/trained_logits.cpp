// The logits that lockstep itself has for every image of an IDX file, as its evaluation has them or with
// batch norms folded, as a safetensors file: interop_logits CHECKPOINT IMAGES ENTRY kept|folded OUT
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "comm/base/error.h"
#include "layers/model/folding.h"
#include "layers/ops/threads.h"
#include "layers/tensor/buffer.h"
#include "trainer/checkpoint/safetensors.h"
#include "trainer/data/dataset.h"
#include "trainer/loop/inference.h"

using namespace lockstep;

namespace {

constexpr std::int64_t most_at_once = 100;

std::vector<float> logits_of(Model& model, std::size_t entry, const Transform& transform,
                             const Dataset& images) {
  const auto elements = static_cast<std::size_t>(images.shape().elements());
  const std::int64_t classes = model.options().classes;
  std::vector<float> logits(static_cast<std::size_t>(images.size() * classes));
  std::vector<std::uint8_t> pixels(elements);
  const Buffer input(most_at_once * elements * sizeof(float));
  for (std::int64_t first = 0; first < images.size(); first += most_at_once) {
    const std::int64_t count = std::min(most_at_once, images.size() - first);
    for (std::int64_t i = 0; i < count; ++i) {
      images.get(first + i, pixels);
      transform.evaluation(pixels,
                           input.as<float>().subspan(static_cast<std::size_t>(i) * elements, elements));
    }
    model.predict({.images = input.as<float>().data(), .labels = {}, .samples = count}, entry,
                  std::span(logits).subspan(static_cast<std::size_t>(first * classes),
                                            static_cast<std::size_t>(count * classes)));
  }
  return logits;
}

void run(const std::string& checkpoint, const std::string& file, const std::string& name, bool folded,
         const std::string& out) {
  prepare_compute_thread();
  Trained trained = open_trained(checkpoint, {});
  const auto images = read_images(file, trained.facts.input.shape, 1024);
  const std::size_t entry = trained.entry(name);
  std::vector<float> logits;
  if (folded) {
    InferenceNetwork network = inference_network(trained.model, entry);
    fold_batch_norms(network);
    Model model = make_model(network);
    logits = logits_of(model, 0, trained.transform(), *images);
  } else {
    logits = logits_of(trained.model, entry, trained.transform(), *images);
  }
  const TensorView tensor{.name = "logits",
                          .dtype = DType::f32,
                          .dims = {images->size(), trained.facts.input.classes},
                          .bytes = std::as_bytes(std::span(logits))};
  write_safetensors(out, {&tensor, 1}, {});
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 6) {
    std::cerr << "usage: interop_logits CHECKPOINT IMAGES ENTRY kept|folded OUT\n";
    return 2;
  }
  try {
    run(arguments[1], arguments[2], arguments[3], std::string(arguments[4]) == "folded", arguments[5]);
  } catch (const Error& error) {
    std::cerr << error.what() << "\n";
    return static_cast<int>(error.code());
  }
  return 0;
}
