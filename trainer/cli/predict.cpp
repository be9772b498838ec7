#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <span>

#include "comm/base/error.h"
#include "comm/base/log.h"
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
  usage.synopsis =
      "CHECKPOINT IMAGES... [--index I|all] [--top K] [--running-stats ENTRY] [--set key=value]... [--json]";
  usage.purpose =
      "Tells what a trained model sees in images: PNG and JPEG, told by what is in the file, and files of "
      "the "
      "IDX format, plain or .gz. A picture of another size than the model was trained on is scaled, keeping "
      "its proportions, until it covers that size, and its middle is cut out; color becomes gray and gray "
      "color as the model needs it. A file that cannot be read as images ends it, or with --set "
      "data.on_corrupt=skip is named and left out. Needs the checkpoint alone, no data set.";
  usage.example =
      "lockstep predict runs/fashion_mnist/final.safetensors shoe.png photos/*.jpg --top 3\n"
      "lockstep predict runs/fashion_mnist/final.safetensors t10k-images-idx3-ubyte.gz --index 7";
  usage.options = {
      {"index", "I|all", "which image of each file, from 0 (default: all)"},
      {"top", "K", "how many classes to tell of each image (default: 1)"},
      {"running-stats", "ENTRY",
       "which running statistics to use, as normalization.running_stats names them (default: the first)"},
      set_option(),
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

std::shared_ptr<const Dataset> open_images(const std::string& file, const SampleShape& shape,
                                           const DataConfig& config) {
  auto images = read_images(file, shape, config.max_mib, config.kept_of_picture());
  if (images->shape() == shape) return images;
  throw DataError(fmt::format("{}: its images are {}, but the model was trained on {}", file,
                              to_string(images->shape()), to_string(shape)));
}

// The files that can be read, in order: each with its images. With data.on_corrupt: skip tells which cannot.
template <class Use>
void for_each_file(std::span<const std::string> files, const Trained& trained, const Use& use) {
  const DataConfig& config = trained.config.data;
  std::size_t skipped = 0;
  for (const std::string& file : files) {
    std::shared_ptr<const Dataset> images;
    try {
      images = open_images(file, trained.facts.input.shape, config);
    } catch (const DataError& error) {
      if (config.on_corrupt == DataConfig::OnCorrupt::fail) throw;
      spdlog::warn("left out: {}", error.what());
      ++skipped;
      continue;
    }
    use(file, *images);
  }
  if (skipped == files.size()) throw DataError("none of the files could be read as images");
}

// One image and what the model sees in it.
struct Prediction {
  std::string file;
  std::int64_t index = 0;
  std::vector<Guess> top;
};

// Predicts images of many files, some at a time: small files share a batch.
class Predictor {
 public:
  Predictor(Classifier& classifier, std::size_t top) : classifier_(classifier), top_(top) {}

  void add(const std::string& file, const Dataset& images, Range chosen) {
    const auto elements = static_cast<std::size_t>(images.shape().elements());
    for (std::int64_t index = chosen.begin; index < chosen.end; ++index) {
      pixels_.resize(pixels_.size() + elements);
      images.get(index, std::span(pixels_).last(elements));
      predictions_.push_back({file, index, {}});
      constexpr std::size_t batch = 64;
      if (pixels_.size() == batch * elements) predict();
    }
  }

  std::vector<Prediction> finish() {
    if (!pixels_.empty()) predict();
    return std::move(predictions_);
  }

 private:
  void predict() {
    auto guesses = classifier_.classify(pixels_, top_);
    const auto waiting = std::span(predictions_).last(guesses.size());
    for (std::size_t i = 0; i < guesses.size(); ++i) waiting[i].top = std::move(guesses[i]);
    pixels_.clear();
  }

  Classifier& classifier_;
  std::size_t top_;
  std::vector<std::uint8_t> pixels_;  // of the last images, which wait
  std::vector<Prediction> predictions_;
};

void print_json(const std::vector<Prediction>& predictions, const std::vector<std::string>& names) {
  ordered_json rows = ordered_json::array();
  for (const Prediction& prediction : predictions) {
    ordered_json top = ordered_json::array();
    for (const Guess& guess : prediction.top) {
      top.push_back({{"class", guess.label},
                     {"name", names[static_cast<std::size_t>(guess.label)]},
                     {"probability", guess.probability}});
    }
    rows.push_back({{"file", prediction.file}, {"index", prediction.index}, {"top", std::move(top)}});
  }
  // A file's name may be any bytes.
  const ordered_json report{{"predictions", std::move(rows)}};
  fmt::print("{}\n", report.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
}

// A line for each class of each image.
void print_table(const std::vector<Prediction>& predictions, const std::vector<std::string>& names) {
  constexpr std::size_t longest_path = 4096;
  const auto file_of = [&](const Prediction& prediction) { return printable(prediction.file, longest_path); };
  std::size_t file_width = 4;
  std::size_t name_width = 5;
  for (const Prediction& prediction : predictions) {
    file_width = std::max(file_width, file_of(prediction).size());
  }
  for (const std::string& name : names) name_width = std::max(name_width, printable(name).size());
  fmt::print("{:<{}}  {:>7}  {:<{}}  {}\n", "file", file_width, "index", "class", name_width, "probability");
  for (const Prediction& prediction : predictions) {
    for (const Guess& guess : prediction.top) {
      fmt::print("{:<{}}  {:>7}  {:<{}}  {:.4f}\n", file_of(prediction), file_width, prediction.index,
                 printable(names[static_cast<std::size_t>(guess.label)]), name_width, guess.probability);
    }
  }
}

}  // namespace

int run_predict(const std::vector<std::string>& arguments) {
  const auto options = parse_arguments(usage(), arguments);
  if (!options) return 0;
  require_one_worker("predict");
  prepare_compute_thread();

  const auto& operands = options->operands();
  Trained trained = open_trained(operands[0], options->values("set"));
  Classifier classifier(trained, trained.kept_entry(options->value("running-stats").value_or("")));
  const std::int64_t top = options->integer("top", 1, 1, trained.facts.input.classes);
  Predictor predictor(classifier, static_cast<std::size_t>(top));
  const std::string index = options->value("index").value_or("all");
  for_each_file(std::span(operands).subspan(1), trained, [&](const std::string& file, const Dataset& images) {
    predictor.add(file, images, chosen_images(index, images.size(), file));
  });
  const std::vector<Prediction> predictions = predictor.finish();
  if (options->has("json")) {
    print_json(predictions, trained.facts.class_names);
  } else {
    print_table(predictions, trained.facts.class_names);
  }
  return 0;
}

}  // namespace lockstep
