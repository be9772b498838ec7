#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "comm/base/error.h"
#include "comm/base/text.h"
#include "layers/ops/threads.h"
#include "trainer/cli/arguments.h"
#include "trainer/cli/commands.h"
#include "trainer/data/dataset.h"
#include "trainer/loop/classify.h"

namespace lockstep {
namespace {

using nlohmann::ordered_json;

Usage usage() {
  Usage usage;
  usage.command = "predict";
  usage.synopsis = "CHECKPOINT IMAGES... [--index I|all] [--top K] [--json]";
  usage.purpose =
      "Tells what a trained model sees in images: files of the IDX format, plain or .gz. Needs the "
      "checkpoint "
      "alone, no data set.";
  usage.example =
      "lockstep predict runs/fashion_mnist/final.safetensors t10k-images-idx3-ubyte.gz --index 7 --top 3";
  usage.options = {
      {"index", "I|all", "which image of each file, from 0 (default: all)"},
      {"top", "K", "how many classes to tell of each image (default: 1)"},
      {"json", "", "print one JSON object: predictions, a list of file, index, top"},
  };
  usage.operands = {"CHECKPOINT", "IMAGES"};
  usage.required_operands = 2;
  usage.many_operands = true;
  return usage;
}

Range chosen_images(const std::string& index, std::int64_t images, const std::string& file) {
  if (index == "all") return {0, images};
  std::int64_t number = -1;
  const char* const end = index.data() + index.size();
  const auto [read_to, error] = std::from_chars(index.data(), end, number);
  if (error != std::errc() || read_to != end || number < 0 || number >= images) {
    throw UsageError(fmt::format("--index {}: expected all, or a number from 0 to {}, since {} has {} images",
                                 index, images - 1, file, images));
  }
  return {number, number + 1};
}

std::shared_ptr<const Dataset> open_images(const std::string& file, const SampleShape& shape) {
  auto images = read_idx_images(file);
  if (images->shape() == shape) return images;
  throw DataError(fmt::format("{}: its images are {}, but the model was trained on {}", file,
                              to_string(images->shape()), to_string(shape)));
}

ordered_json told(const std::string& file, std::int64_t index, const std::vector<Guess>& guesses,
                  const std::vector<std::string>& names) {
  ordered_json top = ordered_json::array();
  for (const Guess& guess : guesses) {
    top.push_back({{"class", guess.label},
                   {"name", names[static_cast<std::size_t>(guess.label)]},
                   {"probability", guess.probability}});
  }
  return {{"file", file}, {"index", index}, {"top", top}};
}

void print(const ordered_json& prediction) {
  std::vector<std::string> classes;
  for (const auto& guess : prediction.at("top")) {
    classes.push_back(fmt::format("{} {:.4f}", printable(guess.at("name").get<std::string>()),
                                  guess.at("probability").get<double>()));
  }
  fmt::print("{} [{}]: {}\n", prediction.at("file").get<std::string>(),
             prediction.at("index").get<std::int64_t>(), fmt::join(classes, ", "));
}

}  // namespace

int run_predict(const std::vector<std::string>& arguments) {
  const auto options = parse_arguments(usage(), arguments);
  if (!options) return 0;
  require_one_worker("predict");
  prepare_compute_thread();

  const auto& operands = options->operands();
  Trained trained = open_trained(operands[0], {});
  const Transform transform = trained.transform();
  const SampleShape& shape = trained.facts.input.shape;
  const auto top = static_cast<std::size_t>(options->integer("top", 1, 1, trained.facts.input.classes));

  ordered_json predictions = ordered_json::array();
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(shape.elements()));
  for (std::size_t i = 1; i < operands.size(); ++i) {
    const auto images = open_images(operands[i], shape);
    const Range chosen = chosen_images(options->value("index").value_or("all"), images->size(), operands[i]);
    for (std::int64_t index = chosen.begin; index < chosen.end; ++index) {
      images->get(index, pixels);
      predictions.push_back(
          told(operands[i], index, classify(trained, transform, pixels, top), trained.facts.class_names));
    }
  }
  if (options->has("json")) {
    fmt::print("{}\n", ordered_json{{"predictions", predictions}}.dump());
  } else {
    for (const ordered_json& prediction : predictions) print(prediction);
  }
  return 0;
}

}  // namespace lockstep
