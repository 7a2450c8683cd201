"""The command `agcnn` as a script, which Fabric can start again for further processes."""

from training.cli.app import main

if __name__ == "__main__":
    main()
