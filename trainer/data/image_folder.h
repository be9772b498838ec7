#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "trainer/data/dataset.h"
#include "trainer/data/meanwhile.h"

namespace lockstep {

// A folder of pictures, one folder a class:
//   train/<class>/….jpg   test/<class>/…   val/<class>/…
// Classes are the folders of train/, in the order of their names' bytes, and pictures the files below them
// that end in .jpg, .jpeg or .png, however written, in the order of their paths' bytes; all else is passed
// over. test/ is the test set, and val/ where there is no test/; where there are both, val/ is the validation
// set.
//
// A picture is read when it is asked for. `get` answers the evaluation crop: scaled until it just covers the
// size that data.image asks for, divided by data.image.crop, and the middle of that.
struct ImageFolderDatasets {
  std::shared_ptr<const Dataset> train, validation, test;
  std::vector<std::string> class_names;
  // What is wrong with each picture that data.on_corrupt: skip left out, in the order of the data sets.
  std::vector<std::string> skipped;
};

// Throws DataError: a folder is missing or cannot be read, a class has no picture, test/ or val/ has a class
// that train/ has not. With data.on_corrupt: fail, `get` of a picture that cannot be decoded is a DataError
// that names it; with skip, all are decoded here, on data.threads threads.
ImageFolderDatasets open_image_folder(const std::filesystem::path& folder, const DataConfig& config,
                                      const Meanwhile& meanwhile);

}  // namespace lockstep
