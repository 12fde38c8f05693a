"""Where posts come from: readers, the post store, splits, loading, augmentation and the synthetic world.

This folder shares its name with a Hugging Face package, and transformers asks only whether such a module exists.
So nothing heavy is imported here, and the three names that transformers compares types with are placeholders: an
`isinstance` check against them is false instead of fatal. Run the project from the repository's root.
"""


class Dataset:
    """Placeholder for the Hugging Face class of this name; nothing is an instance of it."""


class IterableDataset:
    """Placeholder for the Hugging Face class of this name; nothing is an instance of it."""


class DatasetDict:
    """Placeholder for the Hugging Face class of this name; nothing is an instance of it."""
