#include "trainer/loop/classify.h"

#include <algorithm>
#include <cmath>

#include "layers/model/folding.h"
#include "layers/tensor/buffer.h"

namespace lockstep {
namespace {

Model folded_model(Trained& trained, std::size_t entry) {
  InferenceNetwork network = inference_network(trained.model, entry);
  fold_batch_norms(network);
  return make_model(network);
}

std::vector<Guess> likeliest(std::span<const float> logits, std::size_t top) {
  const double largest = *std::ranges::max_element(logits);
  double sum = 0;
  std::vector<Guess> guesses;
  for (std::size_t label = 0; label < logits.size(); ++label) {
    guesses.push_back({static_cast<std::int64_t>(label), std::exp(logits[label] - largest)});
    sum += guesses.back().probability;
  }
  for (Guess& guess : guesses) guess.probability /= sum;
  std::ranges::stable_sort(guesses, std::greater<>(), &Guess::probability);
  guesses.resize(std::min(top, guesses.size()));
  return guesses;
}

}  // namespace

Classifier::Classifier(Trained& trained, std::size_t entry)
    : transform_(trained.transform()), model_(folded_model(trained, entry)) {}

std::vector<std::vector<Guess>> Classifier::classify(std::span<const std::uint8_t> pixels, std::size_t top) {
  const auto elements = static_cast<std::size_t>(transform_.shape().elements());
  const std::size_t samples = pixels.size() / elements;
  const Buffer images(pixels.size() * sizeof(float));
  for (std::size_t i = 0; i < samples; ++i) {
    transform_.evaluation(pixels.subspan(i * elements, elements),
                          images.as<float>().subspan(i * elements, elements));
  }
  const auto classes = static_cast<std::size_t>(model_.options().classes);
  std::vector<float> logits(samples * classes);
  model_.predict({images.as<float>().data(), {}, 0, static_cast<std::int64_t>(samples)}, 0, logits);

  std::vector<std::vector<Guess>> guesses;
  for (std::size_t i = 0; i < samples; ++i) {
    guesses.push_back(likeliest(std::span(logits).subspan(i * classes, classes), top));
  }
  return guesses;
}

}  // namespace lockstep
