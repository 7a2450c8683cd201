"""The command as a file, which is what Fabric starts again for its other processes."""

from training.cli.app import main

if __name__ == "__main__":
    main()
