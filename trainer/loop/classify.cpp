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

// Few enough that what layers hand on stays in a core's cache, enough that weights are read for several.
std::size_t images_at_once(const Model& model) {
  constexpr std::size_t cache = 1U << 20U;
  constexpr std::size_t fewest = 2;
  constexpr std::size_t most = 64;
  return std::clamp(cache / model.widest_bytes(), fewest, most);
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
  const std::size_t most = images_at_once(model_) * static_cast<std::size_t>(transform_.shape().elements());
  std::vector<std::vector<Guess>> guesses;
  for (; !pixels.empty(); pixels = pixels.subspan(std::min(most, pixels.size()))) {
    classify_some(pixels.first(std::min(most, pixels.size())), top, guesses);
  }
  return guesses;
}

void Classifier::classify_some(std::span<const std::uint8_t> pixels, std::size_t top,
                               std::vector<std::vector<Guess>>& guesses) {
  const auto elements = static_cast<std::size_t>(transform_.shape().elements());
  const std::size_t samples = pixels.size() / elements;
  input_.reserve(pixels.size() * sizeof(float));
  for (std::size_t i = 0; i < samples; ++i) {
    transform_.evaluation(pixels.subspan(i * elements, elements),
                          input_.as<float>().subspan(i * elements, elements));
  }
  const auto classes = static_cast<std::size_t>(model_.options().classes);
  std::vector<float> logits(samples * classes);
  model_.predict({input_.as<float>().data(), {}, 0, static_cast<std::int64_t>(samples)}, 0, logits);
  for (std::size_t i = 0; i < samples; ++i) {
    guesses.push_back(likeliest(std::span(logits).subspan(i * classes, classes), top));
  }
}

}  // namespace lockstep
