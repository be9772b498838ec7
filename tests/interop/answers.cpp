// What lockstep answers for every test image, for another program to compare: normalized images (NHWC),
// labels and logits. Model and data are found as `lockstep evaluate` finds them.
//
//   interop_answers FILE OUT [KEY=VALUE]...
#include <iostream>
#include <string>
#include <vector>

#include "comm/base/error.h"
#include "layers/ops/threads.h"
#include "layers/tensor/buffer.h"
#include "trainer/loop/subject.h"

using namespace lockstep;

namespace {

void write_logits(Subject& subject, const std::string& out) {
  const Dataset& test = *subject.data.test;
  const Transform transform = subject.trained.transform();
  const std::int64_t count = test.size();
  const SampleShape shape = test.shape();
  const auto pixels_of_image = static_cast<std::size_t>(shape.elements());
  const auto classes = static_cast<std::size_t>(test.classes());
  std::vector<float> images;
  std::vector<float> logits;
  std::vector<std::int32_t> labels;
  std::vector<std::uint8_t> pixels(pixels_of_image);
  const Buffer image(pixels_of_image * sizeof(float));
  std::vector<float> answer(classes);
  for (std::int64_t index = 0; index < count; ++index) {
    labels.push_back(test.get(index, pixels));
    transform.evaluation(pixels, image.as<float>());
    subject.trained.model.predict({image.as<float>().data(), {}, 0, 1}, 0, answer);
    const auto values = image.as<float>().first(pixels_of_image);
    images.insert(images.end(), values.begin(), values.end());
    logits.insert(logits.end(), answer.begin(), answer.end());
  }
  const std::vector<TensorView> tensors{
      {"images",
       DType::f32,
       {count, shape.height, shape.width, shape.channels},
       std::as_bytes(std::span(images))},
      {"labels", DType::i32, {count}, std::as_bytes(std::span(labels))},
      {"logits", DType::f32, {count, test.classes()}, std::as_bytes(std::span(logits))}};
  write_safetensors(out, tensors, {});
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) {
    std::cerr << "usage: interop_answers FILE OUT [KEY=VALUE]...\n";
    return 2;
  }
  try {
    prepare_compute_thread();
    const std::vector<std::string> settings(arguments + 3, arguments + count);
    Subject subject = open_subject(arguments[1], std::nullopt, settings);
    write_logits(subject, arguments[2]);
  } catch (const Error& error) {
    std::cerr << error.what() << "\n";
    return static_cast<int>(error.code());
  }
  return 0;
}
