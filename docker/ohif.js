// Configuration of OHIF 3.13: one source of data, the service's DICOMweb on the same origin.

/**
 * Mend the attributes of an image that stop OHIF from showing it.
 * - VOI LUT Function: OHIF takes the first letter of a text, and so loses the window (cornerstone3D issue 2844). It takes
 *   the first value of a list.
 * - A Pixel Spacing of zero, which some old files have although PS3.3 10.7.1.3 forbids it: the image stays black.
 */
function mend(instance) {
  if (typeof instance.VOILUTFunction === "string") instance.VOILUTFunction = [instance.VOILUTFunction];
  if ([instance.PixelSpacing].flat().map(Number).includes(0)) delete instance.PixelSpacing;
}

const mends = {
  id: "triage.mends",
  preRegistration() {
    const { metaData } = window.cornerstone;
    let asking = false;
    const provider = (_type, imageId) => {
      if (asking) return;
      asking = true; // this provider is asked for the instance, too
      const instance = metaData.get("instance", imageId);
      asking = false;
      if (instance) mend(instance);
    };
    metaData.addProvider(provider, 1_000_000); // asked before OHIF's own, to which it leaves the answer
  },
};

window.config = {
  routerBasename: "/",
  extensions: [mends],
  modes: [],
  showStudyList: true,
  defaultDataSourceName: "triage",
  dataSources: [
    {
      namespace: "@ohif/extension-default.dataSourcesModule.dicomweb",
      sourceName: "triage",
      configuration: {
        friendlyName: "AG-CNN triage",
        name: "triage",
        qidoRoot: "/dicom-web",
        wadoRoot: "/dicom-web",
        enableStudyLazyLoad: true,
        imageRendering: "wadors",
        thumbnailRendering: "wadors",
        supportsFuzzyMatching: false,
        supportsWildcard: true,
        bulkDataURI: { enabled: true },
      },
    },
  ],
};
