"""Programs as people write them, run through a store by the tests of `pipeline.cache`."""
